// Matrix products: a tile of a few rows times a packed panel of columns, accumulated in registers.
//
// Every element is one chain of fused multiply-adds in the order of k, whatever the number of rows in a tile, so the
// result of a row depends neither on the other rows nor on the number of threads.
#pragma once

#include <algorithm>

#include "simd.h"

namespace regen::REGEN_ISA {

// Rows of a tile with V columns of vectors: their sums, V weights and a broadcast fit the registers. With 16 registers and
// four columns, tiles of more than three rows take two columns at a time, since a tall tile loads each weight less often.
constexpr int tile_rows(int V) {
    constexpr int wide[] = {0, 8, 8, 8, 6}, narrow[] = {0, 8, 6, 4, 6};
    return many_registers ? wide[V] : narrow[V];
}
constexpr int max_tile_rows = 8, max_tile_vectors = 4;

// Vectors stored next to each other in a packed panel of V.
constexpr int adjacent(int V) { return !many_registers && V == 4 ? 2 : V; }

// One addend of a product: for each group g < groups and each k < K,
//     row[r][offset + g * group_stride + k] * panel[(g * K + k)][column].
// rows: one pointer for each row of the tile.
struct Term {
    const float* const* rows;
    const float* panel;
    long K, part_stride;                   // see Packed
    long offset = 0, groups = 1, group_stride = 0;
};

// sum[r][v] += left(r) * w(v); the fewer of the two stay in registers.
template <int R, int V, class Left, class Weight>
REGEN_INLINE void outer(vec (&sum)[R][V], Left left, Weight w) {
    if constexpr (R < V) {
        vec row[R];
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) row[r] = left(r);
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) {
            const vec weight = w(v);
#pragma GCC unroll 8
            for (int r = 0; r < R; ++r) sum[r][v] += row[r] * weight;
        }
    } else {
        vec weight[V];
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) weight[v] = w(v);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
            const vec row = left(r);
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v) sum[r][v] += row * weight[v];
        }
    }
}

// Vectors of V that a tile of R rows takes at a time.
constexpr int tile_columns(int R, int V) { return R > 3 ? adjacent(V) : V; }

// target[r * target_stride + column] = start[r * start_stride + column] + the terms, for R rows and V * W columns.
// start: null is zeros; a stride of 0 gives every row the same; may be target itself.
template <int R, int V>
void tile(const Term* term, int terms, const float* start, long start_stride, float* target, long target_stride) {
    constexpr int part = tile_columns(R, V);
    for (int first = 0; first < V; first += part) {
        vec sum[R][part];
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
            for (int v = 0; v < part; ++v)
                sum[r][v] = start ? load(start + r * start_stride + (first + v) * W) : vec{};
        for (int n = 0; n < terms; ++n) {
            const float* a[R];
#pragma GCC unroll 8
            for (int r = 0; r < R; ++r) a[r] = term[n].rows[r] + term[n].offset;
            const long part_stride = term[n].part_stride;
            const float* w = term[n].panel + first / adjacent(V) * part_stride;
            for (long g = 0; g < term[n].groups; ++g) {
                const long K = term[n].K;
#pragma GCC unroll 2
                for (long k = 0; k < K; ++k, w += adjacent(V) * W)
                    outer(sum, [&](int r) { return splat(a[r][k]); },
                          [&](int v) { return load(w + v / adjacent(V) * part_stride + v % adjacent(V) * W); });
#pragma GCC unroll 8
                for (int r = 0; r < R; ++r) a[r] += term[n].group_stride;
            }
        }
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
            for (int v = 0; v < part; ++v) store(target + r * target_stride + (first + v) * W, sum[r][v]);
    }
}

// target[r * target_stride + column] = (fresh ? 0 : target) + sum over k < K of left[k * left_stride + r] * right[k * right_stride + column]:
// R rows of a weight gradient, from the inputs and derivatives of K pairs of row and step.
template <int R, int V>
void transposed_tile(const float* left, long left_stride, const float* right, long right_stride, long K, float* target,
            long target_stride, bool fresh) {
    constexpr int part = tile_columns(R, V);
    for (int first = 0; first < V; first += part) {
        vec sum[R][part];
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
            for (int v = 0; v < part; ++v) sum[r][v] = vec{};
        const float *in = left, *d = right + first * W;
        for (long k = 0; k < K; ++k, in += left_stride, d += right_stride)
            outer(sum, [&](int r) { return splat(in[r]); }, [&](int v) { return load(d + v * W); });
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
            for (int v = 0; v < part; ++v) {
                float* t = target + r * target_stride + (first + v) * W;
                store(t, fresh ? sum[r][v] : load(t) + sum[r][v]);
            }
    }
}

using Tile = void (*)(const Term*, int, const float*, long, float*, long);
using TransposedTile = void (*)(const float*, long, const float*, long, long, float*, long, bool);

template <int R, int V>
constexpr Tile tile_or_none() {
    if constexpr (R <= tile_rows(V)) return tile<R, V>; else return nullptr;
}
template <int R, int V>
constexpr TransposedTile transposed_tile_or_none() {
    if constexpr (R <= tile_rows(V)) return transposed_tile<R, V>; else return nullptr;
}

#define REGEN_ROWS(of, V) \
    {nullptr, of<1, V>(), of<2, V>(), of<3, V>(), of<4, V>(), of<5, V>(), of<6, V>(), of<7, V>(), of<8, V>()}
constexpr Tile tiles[max_tile_vectors + 1][max_tile_rows + 1] = {
    {}, REGEN_ROWS(tile_or_none, 1), REGEN_ROWS(tile_or_none, 2), REGEN_ROWS(tile_or_none, 3),
    REGEN_ROWS(tile_or_none, 4)};
constexpr TransposedTile transposed_tiles[max_tile_vectors + 1][max_tile_rows + 1] = {
    {}, REGEN_ROWS(transposed_tile_or_none, 1), REGEN_ROWS(transposed_tile_or_none, 2), REGEN_ROWS(transposed_tile_or_none, 3),
    REGEN_ROWS(transposed_tile_or_none, 4)};
#undef REGEN_ROWS

// Inputs (n, stride) and gradients of the loss with respect to preactivations (n, d_stride), for n pairs of row and step.
struct GradientPairs {
    long n;
    const float* records;
    long stride;
    const float* d;
    long d_stride;
};

// target (rows, V * W) += records^T d for the first `rows` of a record and the first V vectors of d, limited to the
// member's share of the rows.
inline void add_gradient_share(const GradientPairs& pairs, long rows, int V, float* target, long target_stride, bool fresh,
                         int member, int members) {
    // 16 KiB of d, half of the L1, while all rows of the records pass. On Zen 3 the backward pass of a small LSTM takes 1063 us
    // with 512 floats, 1136 with 2048, 1372 with 4096, 1186 with 8192, 1314 with 32768; of a GRU 679, 624, 607, 699, 586:
    // no difference beyond the noise.
    constexpr long pairs_in_l1 = 4096 / (max_tile_vectors * W);
    const int R = tile_rows(V);
    const long tiles = (rows + R - 1) / R, first = tiles * member / members * R, last = tiles * (member + 1) / members * R;
    for (long pair = 0; pair < pairs.n; pair += pairs_in_l1)
        for (long top = first; top < std::min(last, rows); top += R)
            transposed_tiles[V][std::min<long>(R, rows - top)](pairs.records + pair * pairs.stride + top, pairs.stride,
                                                      pairs.d + pair * pairs.d_stride, pairs.d_stride,
                                                      std::min(pairs_in_l1, pairs.n - pair), target + top * target_stride,
                                                      target_stride, fresh && pair == 0);
}

// Cut n rows into tiles of nearly equal height, at most tile_rows(V): each(first, height).
template <class Each>
REGEN_INLINE void by_tiles(long n, int V, Each each) {
    const long pieces = (n + tile_rows(V) - 1) / tile_rows(V);
    for (long piece = 0, first = 0; piece < pieces; ++piece) {
        const long next = n * (piece + 1) / pieces;
        each(first, static_cast<int>(next - first));
        first = next;
    }
}

}  // namespace regen::REGEN_ISA
