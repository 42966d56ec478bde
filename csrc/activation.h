// The two activations of every gate, W floats at a time. No intrinsics
// but min and max, so one source for every instruction set.
#pragma once

#include "simd.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace regen::REGEN_ISA {

// min(x, high) and max(x, low). NaN stays NaN; a comparison and a choice would do the same in twice the instructions.
REGEN_INLINE vec at_most(vec x, float high) {
    const vec h = splat(high);
#if defined(__AVX512F__)
    return (vec)_mm512_mask_min_ps((__m512)x, 0xffff, (__m512)h, (__m512)x);
#elif defined(__AVX2__)
    return (vec)_mm256_min_ps((__m256)h, (__m256)x);
#elif defined(__x86_64__)
    return (vec)_mm_min_ps((__m128)h, (__m128)x);
#elif defined(__aarch64__)
    return (vec)vminq_f32((float32x4_t)h, (float32x4_t)x);
#else
    return x > h ? h : x;
#endif
}
REGEN_INLINE vec at_least(vec x, float low) {
    const vec l = splat(low);
#if defined(__AVX512F__)
    return (vec)_mm512_mask_max_ps((__m512)x, 0xffff, (__m512)l, (__m512)x);
#elif defined(__AVX2__)
    return (vec)_mm256_max_ps((__m256)l, (__m256)x);
#elif defined(__x86_64__)
    return (vec)_mm_max_ps((__m128)l, (__m128)x);
#elif defined(__aarch64__)
    return (vec)vmaxq_f32((float32x4_t)l, (float32x4_t)x);
#else
    return x < l ? l : x;
#endif
}

// Both stand on exp(x) = 2^k exp(r), k = round(x / ln 2), |r| <= ln 2 / 2, and tanh(r / 2) = q / a with q = r b and
// a, b linear in r^2 (minimax, 1e-10), so that exp(r) = (a + q) / (a - q).
//
// Adding 1.5 * 2^23 + bias to a float rounds it to a whole number k and leaves k + bias in the low bits;
// shifted up by 23 they are the float 2^(k + bias - 127).
REGEN_INLINE vec power_of_two(vec rounded) { return (vec)((ivec)rounded << 23); }

// Greatest error over all floats where the exact value is a normal number:
//   sigmoid: at most 2.50 ulp, without fused multiply-add 2.60
//   tanh: at most 2.86 ulp, without fused multiply-add 3.22

// sigmoid(x) = exp(x) / (1 + exp(x)) = 2^k (a + q) / (2^k (a + q) + (a - q)).
// Exactly 1 from 17.4 on; below -87.34, where it is less than 2^-126, a subnormal number or 0.
REGEN_INLINE vec sigmoid(vec x) {
    constexpr float round = 0x1.8p23f + 127;
    x = at_least(at_most(x, 30), -88);           // k = -127 at the low end, and 2^-127 comes out as 0
    const vec rounded = x * 0x1.715476p0f + round;
    const vec k = rounded - round;
    const vec r = x - k * 0x1.62e4p-1f - k * 0x1.7f7d1cp-20f;       // ln 2 in two parts; k times the first is exact
    const vec z = r * r;
    const vec a = z * 12.0158138f + 120.189781f, q = r * (z + 60.0948906f);
    const vec n = (a + q) * power_of_two(rounded);
    return n / (n + (a - q));
}

// tanh(|x|) = (exp(2 |x|) - 1) / (exp(2 |x|) + 1) = (t + q) / (t + a),  t = (2^k - 1) / 2 (a + q);  then the sign of x.
// Nothing cancels near 0, where k = t = 0, and q <= a keeps it from exceeding 1. Odd bit for bit;
// -0 and subnormal numbers return themselves; exactly 1 from 9.011 on.
REGEN_INLINE vec tanh(vec x) {
    constexpr float round = 0x1.8p23f + 126;
    const vec u = at_most((vec)((ivec)x & INT32_MAX), 10);
    const vec rounded = u * 0x1.715476p1f + round;
    const vec r = u - (rounded - round) * 0x1.62e43p-2f;            // half of the r above: a and q are scaled to it
    const vec z = r * r;
    const vec a = z * 6.00756693f + 15.022706f, q = r * (z + 15.022706f);
    const vec t = (power_of_two(rounded) - 0.5f) * (a + q);
    const vec y = (t + q) / (t + a);
    return (vec)((ivec)y | ((ivec)x & INT32_MIN));
}

}  // namespace regen::REGEN_ISA
