// Vectors of W floats, in the vector extensions of GCC and Clang: one source for every instruction set.
#pragma once

#include <cstdint>
#include <cstring>

namespace regen::REGEN_ISA {

#if defined(__AVX512F__)
constexpr int W = 16;            // floats in one vector
constexpr bool many = true;      // 32 vector registers
#elif defined(__AVX2__)
constexpr int W = 8;
constexpr bool many = false;     // 16 vector registers
#elif defined(__aarch64__)
constexpr int W = 4;
constexpr bool many = true;
#else
constexpr int W = 4;
constexpr bool many = false;
#endif

typedef float vec __attribute__((vector_size(4 * W)));
typedef int32_t ivec __attribute__((vector_size(4 * W)));
typedef float loose __attribute__((vector_size(4 * W), aligned(4), may_alias));

#define REGEN_INLINE [[gnu::always_inline]] inline

// p: W floats, any alignment.
REGEN_INLINE vec load(const float* p) { return *reinterpret_cast<const loose*>(p); }
REGEN_INLINE void store(float* p, vec v) { *reinterpret_cast<loose*>(p) = v; }
REGEN_INLINE vec splat(float f) { return f - vec{}; }

// The first n of W floats at p, and 0 for the rest; n >= W is a plain load.
REGEN_INLINE vec take(const float* p, long n) {
    if (n >= W) return load(p);
    vec v{};
    std::memcpy(&v, p, sizeof(float) * n);
    return v;
}

// The first n of W floats, and nothing beyond.
REGEN_INLINE void put(float* p, vec v, long n) {
    if (n >= W) return store(p, v);
    std::memcpy(p, &v, sizeof(float) * n);
}

// Ask for the cache lines of n floats from p on, which are read or written soon; p may lie outside of every array.
REGEN_INLINE void soon(const float* p, int n = W) {
    for (int k = 0; k < n; k += 16) __builtin_prefetch(p + k);
}

// Whole vectors for n floats.
constexpr long blocks(long n) { return (n + W - 1) / W; }

}  // namespace regen::REGEN_ISA
