// Compiled once per instruction set, with -DREGEN_ISA=avx512, avx2, baseline or neon and the flags of that set.
#include "kernels.h"

#define REGEN_NAME_(isa) #isa
#define REGEN_NAME(isa) REGEN_NAME_(isa)

namespace regen::REGEN_ISA {

#if defined(__AVX512F__)
constexpr int W = 16;
#elif defined(__AVX2__)
constexpr int W = 8;
#else
constexpr int W = 4;
#endif

const Table& table() {
    static constexpr Table here{REGEN_NAME(REGEN_ISA), W};
    return here;
}

}  // namespace regen::REGEN_ISA
