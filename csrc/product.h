// The one matrix product: a few rows times a packed panel of columns, the sums kept in registers.
//
// Every element is one chain of fused multiply-adds in the order of k, whatever the number of rows in a tile: a row's
// result does not depend on its neighbours, nor on the number of threads.
#pragma once

#include <algorithm>

#include "simd.h"

namespace regen::REGEN_ISA {

// How many rows share the registers with V columns of vectors: their sums, V weights and a broadcast. Of four columns
// narrow processors take two at a time when there are more than three rows, for a tall tile reads a weight less often.
constexpr int rows_beside(int V) {
    constexpr int wide[] = {0, 8, 8, 8, 6}, narrow[] = {0, 8, 6, 4, 6};
    return many ? wide[V] : narrow[V];
}
constexpr int most_rows = 8, most_vectors = 4;

// Columns that lie side by side in a packed panel of V.
constexpr int beside(int V) { return !many && V == 4 ? 2 : V; }

// One addend of a product: for each group g < groups and each k < K,
//     row[r][offset + g * hop + k] * panel[(g * K + k)][column].
// rows: pointers to floats, one for each row of the tile; panel: packed, read in order. Neither is written.
struct Term {
    const float* const* rows;
    const float* panel;
    long K, apart;                         // apart: floats between the parts of a panel, see Packed
    long offset = 0, groups = 1, hop = 0;
};

// sum[r][v] += heard(r) * w(v); the fewer of the two wait in registers.
template <int R, int V, class Heard, class Weight>
REGEN_INLINE void outer(vec (&sum)[R][V], Heard heard, Weight w) {
    if constexpr (R < V) {
        vec row[R];
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) row[r] = heard(r);
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
            const vec row = heard(r);
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v) sum[r][v] += row * weight[v];
        }
    }
}

// Vectors of V that R rows take at a time.
constexpr int at_once(int R, int V) { return R > 3 ? beside(V) : V; }

// target[r * target_stride + column] = start[r * start_stride + column] + the terms, for R rows and V * W columns.
// start: null is zeros; a stride of 0 gives every row the same; may be target itself.
template <int R, int V>
void tile(const Term* term, int terms, const float* start, long start_stride, float* target, long target_stride) {
    constexpr int part = at_once(R, V);
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
            const long apart = term[n].apart;
            const float* w = term[n].panel + first / beside(V) * apart;
            for (long g = 0; g < term[n].groups; ++g) {
                const long K = term[n].K;
#pragma GCC unroll 2
                for (long k = 0; k < K; ++k, w += beside(V) * W)
                    outer(sum, [&](int r) { return splat(a[r][k]); },
                          [&](int v) { return load(w + v / beside(V) * apart + v % beside(V) * W); });
#pragma GCC unroll 8
                for (int r = 0; r < R; ++r) a[r] += term[n].hop;
            }
        }
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
            for (int v = 0; v < part; ++v) store(target + r * target_stride + (first + v) * W, sum[r][v]);
    }
}

// target[r * target_stride + column] = (fresh ? 0 : target) + sum over k < K of left[k * left_stride + r] * right[k * right_stride + column]:
// R rows of a weight gradient, from K pairs of what was heard and what it did.
template <int R, int V>
void gather(const float* left, long left_stride, const float* right, long right_stride, long K, float* target,
            long target_stride, bool fresh) {
    constexpr int part = at_once(R, V);
    for (int first = 0; first < V; first += part) {
        vec sum[R][part];
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
            for (int v = 0; v < part; ++v) sum[r][v] = vec{};
        const float *heard = left, *d = right + first * W;
        for (long k = 0; k < K; ++k, heard += left_stride, d += right_stride)
            outer(sum, [&](int r) { return splat(heard[r]); }, [&](int v) { return load(d + v * W); });
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
using Gather = void (*)(const float*, long, const float*, long, long, float*, long, bool);

template <int R, int V>
constexpr Tile tile_or_none() {
    if constexpr (R <= rows_beside(V)) return tile<R, V>; else return nullptr;
}
template <int R, int V>
constexpr Gather gather_or_none() {
    if constexpr (R <= rows_beside(V)) return gather<R, V>; else return nullptr;
}

#define REGEN_ROWS(of, V) \
    {nullptr, of<1, V>(), of<2, V>(), of<3, V>(), of<4, V>(), of<5, V>(), of<6, V>(), of<7, V>(), of<8, V>()}
constexpr Tile tiles[most_vectors + 1][most_rows + 1] = {
    {}, REGEN_ROWS(tile_or_none, 1), REGEN_ROWS(tile_or_none, 2), REGEN_ROWS(tile_or_none, 3),
    REGEN_ROWS(tile_or_none, 4)};
constexpr Gather gathers[most_vectors + 1][most_rows + 1] = {
    {}, REGEN_ROWS(gather_or_none, 1), REGEN_ROWS(gather_or_none, 2), REGEN_ROWS(gather_or_none, 3),
    REGEN_ROWS(gather_or_none, 4)};
#undef REGEN_ROWS

// Pairs of what was heard and what the sums did to the cost: (n, stride) and (n, d_stride). Read.
struct Heard {
    long n;
    const float* records;
    long stride;
    const float* d;
    long d_stride;
};

// target (rows, V * W) += records^T d for the first `rows` of a record and the first V vectors of d, of these the rows
// of member's share. So many pairs at a time that their d stays in the nearest cache while the records pass by.
inline void gather_share(const Heard& pairs, long rows, int V, float* target, long target_stride, bool fresh,
                         int member, int members) {
    constexpr long near = 4096 / (most_vectors * W);
    const int R = rows_beside(V);
    const long tiles = (rows + R - 1) / R, first = tiles * member / members * R, last = tiles * (member + 1) / members * R;
    for (long pair = 0; pair < pairs.n; pair += near)
        for (long top = first; top < std::min(last, rows); top += R)
            gathers[V][std::min<long>(R, rows - top)](pairs.records + pair * pairs.stride + top, pairs.stride,
                                                      pairs.d + pair * pairs.d_stride, pairs.d_stride,
                                                      std::min(near, pairs.n - pair), target + top * target_stride,
                                                      target_stride, fresh && pair == 0);
}

// Cut n rows into tiles of nearly equal height, no higher than fits beside V columns: each(first, height).
template <class Each>
REGEN_INLINE void by_tiles(long n, int V, Each each) {
    const long pieces = (n + rows_beside(V) - 1) / rows_beside(V);
    for (long piece = 0, first = 0; piece < pieces; ++piece) {
        const long next = n * (piece + 1) / pieces;
        each(first, static_cast<int>(next - first));
        first = next;
    }
}

}  // namespace regen::REGEN_ISA
