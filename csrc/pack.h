// Weights laid out in the order in which the products read them.
#pragma once

#include "product.h"

namespace regen::REGEN_ISA {

// Columns in panels of V vectors (the last may have fewer), each panel K rows deep. Of a panel's vectors `beside` lie
// side by side, and the next ones after all rows of these:
//     data[first column of the panel * W * K + (v / beside * K + k) * beside * W + v % beside * W + lane].
struct Packed {
    float* data = nullptr;   // scratch, 64-byte aligned, blocks * W * K floats
    long K = 0, blocks = 0;  // rows; columns in vectors of W
    int V = 1;

    long floats() const { return K * blocks * W; }
    long panels() const { return (blocks + V - 1) / V; }
    int width(long panel) const { return static_cast<int>(std::min<long>(V, blocks - panel * V)); }
    float* panel(long number) const { return data + number * V * W * K; }
    long step(long panel) const { return beside(width(panel)) * W; }      // floats from row to row
    long apart(long panel) const { return K * step(panel); }              // and from part to part
    float* column(long number, int v) const {                             // the first row of a panel's vector
        const int side = beside(width(number));
        return panel(number) + v / side * apart(number) + v % side * W;
    }
};

typedef float four __attribute__((vector_size(16), aligned(4), may_alias));

// to[k * to_stride + lane] = from[lane * from_stride + k] for k, lane < 4.
REGEN_INLINE void transpose(const float* from, long from_stride, float* to, long to_stride) {
    typedef int order __attribute__((vector_size(16)));
    const four a = *(const four*)from, b = *(const four*)(from + from_stride);
    const four c = *(const four*)(from + 2 * from_stride), d = *(const four*)(from + 3 * from_stride);
    const four ab = __builtin_shuffle(a, b, order{0, 4, 1, 5}), cd = __builtin_shuffle(c, d, order{0, 4, 1, 5});
    const four ba = __builtin_shuffle(a, b, order{2, 6, 3, 7}), dc = __builtin_shuffle(c, d, order{2, 6, 3, 7});
    *(four*)to = __builtin_shuffle(ab, cd, order{0, 1, 4, 5});
    *(four*)(to + to_stride) = __builtin_shuffle(ab, cd, order{2, 3, 6, 7});
    *(four*)(to + 2 * to_stride) = __builtin_shuffle(ba, dc, order{0, 1, 4, 5});
    *(four*)(to + 3 * to_stride) = __builtin_shuffle(ba, dc, order{2, 3, 6, 7});
}

// n <= W rows of a matrix become one column of vectors: to[k * stride + lane] = from[lane * K + k], 0 for lanes from n on.
REGEN_INLINE void pack_column(const float* from, long K, long n, float* to, long stride) {
    long k = 0;
    if (n >= W)
        for (; k + 4 <= K; k += 4)
            for (long lane = 0; lane < W; lane += 4) transpose(from + lane * K + k, K, to + k * stride + lane, stride);
    for (; k < K; ++k)
        for (long lane = 0; lane < W; ++lane) to[k * stride + lane] = lane < n ? from[lane * K + k] : 0.0f;
}

// The other way: to[lane * K + k] = from[k * stride + lane] for n <= W lanes.
REGEN_INLINE void unpack_column(const float* from, long stride, long K, long n, float* to) {
    long k = 0;
    if (n >= W)
        for (; k + 4 <= K; k += 4)
            for (long lane = 0; lane < W; lane += 4) transpose(from + k * stride + lane, stride, to + lane * K + k, K);
    for (; k < K; ++k)
        for (long lane = 0; lane < std::min<long>(n, W); ++lane) to[lane * K + k] = from[k * stride + lane];
}

}  // namespace regen::REGEN_ISA
