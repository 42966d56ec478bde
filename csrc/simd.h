// Vectors of W floats, in the vector extensions of GCC and Clang: one source for every instruction set.
#pragma once

#include <cstdint>
#include <cstring>

namespace regen::REGEN_ISA {

#if defined(__AVX512F__)
constexpr int W = 16;            // floats in one vector
constexpr bool many_registers = true;   // 32 vector registers, not 16
#elif defined(__AVX2__)
constexpr int W = 8;
constexpr bool many_registers = false;
#elif defined(__aarch64__)
constexpr int W = 4;
constexpr bool many_registers = true;
#else
constexpr int W = 4;
constexpr bool many_registers = false;
#endif

typedef float vec __attribute__((vector_size(4 * W)));
typedef int32_t ivec __attribute__((vector_size(4 * W)));
typedef float unaligned_vec __attribute__((vector_size(4 * W), aligned(4), may_alias));

#define REGEN_INLINE [[gnu::always_inline]] inline

// p: W floats, any alignment.
REGEN_INLINE vec load(const float* p) { return *reinterpret_cast<const unaligned_vec*>(p); }
REGEN_INLINE void store(float* p, vec v) { *reinterpret_cast<unaligned_vec*>(p) = v; }
REGEN_INLINE vec splat(float f) { return f - vec{}; }

// The first n of W floats at p, and 0 for the rest; n >= W is a plain load.
REGEN_INLINE vec load_first(const float* p, long n) {
    if (n >= W) return load(p);
    vec v{};
    std::memcpy(&v, p, sizeof(float) * n);
    return v;
}

// The first n of W floats, and nothing beyond.
REGEN_INLINE void store_first(float* p, vec v, long n) {
    if (n >= W) return store(p, v);
    std::memcpy(p, &v, sizeof(float) * n);
}

// Set the lanes from n on to 0, whatever they hold; n >= W changes nothing.
template <int count>
REGEN_INLINE void clear_lanes(vec (&values)[count], long n) {
    if (n >= W) return;
    ivec lane;
    for (int k = 0; k < W; ++k) lane[k] = k;
    for (vec& v : values) v = (vec)((ivec)v & (lane < static_cast<int32_t>(n)));
}

// Prefetch the cache lines of the n floats at p; p may be outside of every array.
REGEN_INLINE void prefetch(const float* p, int n = W) {
    for (int k = 0; k < n; k += 16) __builtin_prefetch(p + k);
}

// Whole vectors for n floats.
constexpr long blocks(long n) { return (n + W - 1) / W; }

}  // namespace regen::REGEN_ISA
