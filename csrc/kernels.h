// What one instruction set offers; kernels.cpp is compiled once for each of them.
#pragma once

namespace regen {

struct Table {
    const char* isa;
    int lanes;  // floats in one vector
};

namespace avx512 { const Table& table(); }
namespace avx2 { const Table& table(); }
namespace baseline { const Table& table(); }
namespace neon { const Table& table(); }

}  // namespace regen
