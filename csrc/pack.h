// Weights laid out in the order in which the products read them.
#pragma once

#include "product.h"

namespace regen::REGEN_ISA {

// Columns in panels of V vectors (the last may have fewer), each panel K rows deep:
//     data[first column of the panel * W * K + (k * V + v) * W + lane].
struct Packed {
    float* data = nullptr;   // scratch, 64-byte aligned, blocks * W * K floats
    long K = 0, blocks = 0;  // rows; columns in vectors of W
    int V = 1;

    long floats() const { return K * blocks * W; }
    long panels() const { return (blocks + V - 1) / V; }
    int width(long panel) const { return static_cast<int>(std::min<long>(V, blocks - panel * V)); }
    float* panel(long number) const { return data + number * V * W * K; }
};

// Transpose n <= W rows of a matrix into one column of vectors: to[k * stride + lane] = from[lane * K + k], 0 for
// lanes from n on.
REGEN_INLINE void pack_column(const float* from, long K, long n, float* to, long stride) {
    typedef float four __attribute__((vector_size(16)));
    typedef float four_loose __attribute__((vector_size(16), aligned(4), may_alias));
    typedef int four_int __attribute__((vector_size(16)));
    for (long lane = 0; lane < W; lane += 4) {
        long k = 0;
        if (lane + 4 <= n) {
            const float* p = from + lane * K;
            for (; k + 4 <= K; k += 4) {
                const four a = *(const four_loose*)(p + k), b = *(const four_loose*)(p + K + k);
                const four c = *(const four_loose*)(p + 2 * K + k), d = *(const four_loose*)(p + 3 * K + k);
                const four ab = __builtin_shuffle(a, b, four_int{0, 4, 1, 5});
                const four cd = __builtin_shuffle(c, d, four_int{0, 4, 1, 5});
                const four ba = __builtin_shuffle(a, b, four_int{2, 6, 3, 7});
                const four dc = __builtin_shuffle(c, d, four_int{2, 6, 3, 7});
                float* t = to + k * stride + lane;
                *(four_loose*)t = __builtin_shuffle(ab, cd, four_int{0, 1, 4, 5});
                *(four_loose*)(t + stride) = __builtin_shuffle(ab, cd, four_int{2, 3, 6, 7});
                *(four_loose*)(t + 2 * stride) = __builtin_shuffle(ba, dc, four_int{0, 1, 4, 5});
                *(four_loose*)(t + 3 * stride) = __builtin_shuffle(ba, dc, four_int{2, 3, 6, 7});
            }
        }
        for (; k < K; ++k)
            for (long l = lane; l < lane + 4; ++l) to[k * stride + l] = l < n ? from[l * K + k] : 0.0f;
    }
}

// The other way: to[lane * K + k] = from[k * stride + lane] for n <= W lanes.
REGEN_INLINE void unpack_column(const float* from, long stride, long K, long n, float* to) {
    typedef float four __attribute__((vector_size(16)));
    typedef float four_loose __attribute__((vector_size(16), aligned(4), may_alias));
    typedef int four_int __attribute__((vector_size(16)));
    for (long lane = 0; lane < n; lane += 4) {
        long k = 0;
        if (lane + 4 <= n) {
            float* t = to + lane * K;
            for (; k + 4 <= K; k += 4) {
                const float* p = from + k * stride + lane;
                const four a = *(const four_loose*)p, b = *(const four_loose*)(p + stride);
                const four c = *(const four_loose*)(p + 2 * stride), d = *(const four_loose*)(p + 3 * stride);
                const four ab = __builtin_shuffle(a, b, four_int{0, 4, 1, 5});
                const four cd = __builtin_shuffle(c, d, four_int{0, 4, 1, 5});
                const four ba = __builtin_shuffle(a, b, four_int{2, 6, 3, 7});
                const four dc = __builtin_shuffle(c, d, four_int{2, 6, 3, 7});
                *(four_loose*)(t + k) = __builtin_shuffle(ab, cd, four_int{0, 1, 4, 5});
                *(four_loose*)(t + K + k) = __builtin_shuffle(ab, cd, four_int{2, 3, 6, 7});
                *(four_loose*)(t + 2 * K + k) = __builtin_shuffle(ba, dc, four_int{0, 1, 4, 5});
                *(four_loose*)(t + 3 * K + k) = __builtin_shuffle(ba, dc, four_int{2, 3, 6, 7});
            }
        }
        for (; k < K; ++k)
            for (long l = lane; l < std::min(lane + 4, n); ++l) to[l * K + k] = from[k * stride + l];
    }
}

}  // namespace regen::REGEN_ISA
