// Weight matrices packed in the order in which gemm.h reads them.
#pragma once

#include "gemm.h"

namespace regen::REGEN_ISA {

// Panels of V vectors of columns (the last may have fewer) and K rows. A panel is stored in parts of adjacent(V) vectors,
// each part row by row:
//     data[first column of the panel * W * K + (v / adjacent * K + k) * adjacent * W + v % adjacent * W + lane].
struct Packed {
    float* data = nullptr;   // scratch, 64-byte aligned, blocks * W * K floats
    long K = 0, blocks = 0;  // rows; columns, in vectors of W
    int V = 1;

    long floats() const { return K * blocks * W; }
    long panels() const { return (blocks + V - 1) / V; }
    int width(long panel) const { return static_cast<int>(std::min<long>(V, blocks - panel * V)); }
    float* panel(long number) const { return data + number * V * W * K; }
    long row_stride(long panel) const { return adjacent(width(panel)) * W; }
    long part_stride(long panel) const { return K * row_stride(panel); }
    float* column(long number, int v) const {   // the first row of vector v
        const int together = adjacent(width(number));
        return panel(number) + v / together * part_stride(number) + v % together * W;
    }
};

typedef float vec4 __attribute__((vector_size(16), aligned(4), may_alias));

// to[k * to_stride + lane] = from[lane * from_stride + k] for k, lane < 4.
REGEN_INLINE void transpose(const float* from, long from_stride, float* to, long to_stride) {
    typedef int order __attribute__((vector_size(16)));
    const vec4 a = *(const vec4*)from, b = *(const vec4*)(from + from_stride);
    const vec4 c = *(const vec4*)(from + 2 * from_stride), d = *(const vec4*)(from + 3 * from_stride);
    const vec4 ab = __builtin_shuffle(a, b, order{0, 4, 1, 5}), cd = __builtin_shuffle(c, d, order{0, 4, 1, 5});
    const vec4 ba = __builtin_shuffle(a, b, order{2, 6, 3, 7}), dc = __builtin_shuffle(c, d, order{2, 6, 3, 7});
    *(vec4*)to = __builtin_shuffle(ab, cd, order{0, 1, 4, 5});
    *(vec4*)(to + to_stride) = __builtin_shuffle(ab, cd, order{2, 3, 6, 7});
    *(vec4*)(to + 2 * to_stride) = __builtin_shuffle(ba, dc, order{0, 1, 4, 5});
    *(vec4*)(to + 3 * to_stride) = __builtin_shuffle(ba, dc, order{2, 3, 6, 7});
}

// to[k * stride + lane] = from[lane * K + k] for n <= W rows of a matrix, and 0 for the other lanes.
REGEN_INLINE void pack_column(const float* from, long K, long n, float* to, long stride) {
    long k = 0;
    if (n >= W)
        for (; k + 4 <= K; k += 4)
            for (long lane = 0; lane < W; lane += 4) transpose(from + lane * K + k, K, to + k * stride + lane, stride);
    for (; k < K; ++k)
        for (long lane = 0; lane < W; ++lane) to[k * stride + lane] = lane < n ? from[lane * K + k] : 0.0f;
}

// The inverse: to[lane * K + k] = from[k * stride + lane] for n <= W lanes.
REGEN_INLINE void unpack_column(const float* from, long stride, long K, long n, float* to) {
    long k = 0;
    if (n >= W)
        for (; k + 4 <= K; k += 4)
            for (long lane = 0; lane < W; lane += 4) transpose(from + k * stride + lane, stride, to + lane * K + k, K);
    for (; k < K; ++k)
        for (long lane = 0; lane < std::min<long>(n, W); ++lane) to[lane * K + k] = from[k * stride + lane];
}

}  // namespace regen::REGEN_ISA
