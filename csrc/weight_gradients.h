// Gradients of the weights: large products over the pairs of row and step in a chunk.
#pragma once

#include "preactivations.h"

namespace regen::REGEN_ISA {

// Offset of derivative k of one block of units: first those of the preactivations, then those of the weight vectors.
template <class Cell>
constexpr long d_at(long unit_blocks, long block, int k) {
    return (k < Cell::D ? block * Cell::D + k : unit_blocks * Cell::D + block * Cell::E + k - Cell::D) * W;
}

// Floats of a record: an odd number of cache lines, so that a column of records spreads over the sets of the cache.
inline long record_stride(long floats) { return ((floats + 15) / 16 | 1) * 16; }

// Steps of a chunk whose gradients, d_floats for a pair of row and step, stay in the cache of a core.
inline long chunk_steps(const Problem& p, const Plan& plan, long d_floats) {
    const long pairs = std::max(min_chunk_pairs, chunk_floats / d_floats);
    return std::max(1L, std::min(plan.steps, pairs / std::max(1L, p.B)));
}

// The records of the pairs of row and step in a chunk: inputs, and gradients with respect to preactivations. Scratch.
struct Chunk {
    const long steps;
    const long x_first, input_stride, d_stride;
    ScratchFloats input_records, ds;         // (pairs, input_stride): h then x; (pairs, d_stride): see d_at
    std::vector<float*> dx;                  // (pairs,) where the gradient of x is written

    Chunk(const Problem& p, const Plan& plan, int D)
        : steps(chunk_steps(p, plan, blocks(p.H) * D * W)), x_first(p.H), input_stride(record_stride(p.H + p.I)),
          d_stride(record_stride(blocks(p.H) * D * W)),
          input_records(steps * p.B * input_stride), ds(steps * p.B * d_stride), dx(steps * p.B) {}

    long first(long end) const { return std::max(0L, end - steps); }
    float* inputs(long pair) { return input_records + pair * input_stride; }
    float* d(long pair) { return ds + pair * d_stride; }
};

// The weights packed for the backward pass: rows in the order of the derivatives of a pair, columns the units or inputs.
template <class Cell>
struct TransposedWeights {
    static constexpr int G = Cell::G, D = Cell::D, V = max_tile_vectors;
    const Problem& p;
    const long unit_blocks = blocks(p.H);
    Packed wh{nullptr, unit_blocks * G * W, Cell::dense ? unit_blocks : 0, V};
    Packed wx{nullptr, unit_blocks * G * W, p.dx ? blocks(p.I) : 0, V};
    ScratchFloats memory{wh.floats() + wx.floats()};

    explicit TransposedWeights(const Problem& p) : p(p) {
        wh.data = memory;
        wx.data = wh.data + wh.floats();
        if (!Cell::dense) wh.blocks = 0;
    }

    void pack(int member, int members) {
        if constexpr (Cell::dense) pack_transposed(wh, p.weights[1], p.H, Cell::h_gates, member, members);
        if (p.dx) pack_transposed(wx, p.weights[0], p.I, Cell::x_gates, member, members);
    }

    // Blocks of units in one product, so that the panel stays in the cache.
    long group_blocks() const { return std::max(1L, product_rows / (G * W)); }

    Term through_h(const float* const* d, long part, long from, long to) const {
        return term(wh, d, part, Cell::h_first, from, to);
    }
    Term through_x(const float* const* d, long part) const {
        return term(wx, d, part, Cell::x_first, 0, unit_blocks);
    }

private:
    static Term term(const Packed& w, const float* const* d, long part, int first, long from, long to) {
        const float* panel = w.panel(part) + from * G * W * w.row_stride(part);
        const long offset = (from * D + first) * W, part_stride = w.part_stride(part);
        if (D == G) return {d, panel, (to - from) * G * W, part_stride, offset};
        return {d, panel, G * W, part_stride, offset, to - from, D * W};
    }

    // from: (G * H, columns). Rows in the order (unit block, gate, unit), 0 for units past H.
    void pack_transposed(Packed& to, const float* from, long columns, const int* gates, int member, int members) const {
        const Share share(unit_blocks, member, members);
        for (long part = 0; part < to.panels(); ++part)
            for (int v = 0; v < to.width(part); ++v) {
                const long column = (part * V + v) * W;
                float* row = to.column(part, v) + share.first * G * W * to.row_stride(part);
                for (long block = share.first; block < share.last; ++block)
                    for (int g = 0; g < G; ++g)
                        for (long u = block * W; u < block * W + W; ++u, row += to.row_stride(part))
                            store(row, u < p.H ? load_first(from + (gates[g] * p.H + u) * columns + column, columns - column)
                                               : vec{});
            }
    }
};

template <class Each>
REGEN_INLINE void by_blocks(long n, long size, Each each) {
    for (long from = 0; from < n; from += size) each(from, std::min(from + size, n));
}

// Sums over all pairs: dW, dU, and the columns of d themselves for biases and weight vectors.
template <class Cell>
struct WeightGradients {
    static constexpr int G = Cell::G, D = Cell::D, E = Cell::E;
    const Problem& p;
    const long unit_blocks = blocks(p.H);
    const bool needs_h = Cell::dense && p.dweights[1], needs_x = p.dweights[0];
    const long columns = unit_blocks * G * W;        // of one row of weights
    ScratchFloats memory{(p.H + p.I) * columns + unit_blocks * (D + E) * W};
    float *wh = memory, *wx = wh + p.H * columns;    // (H, unit blocks, G, W), (I, unit blocks, G, W), transposed
    float *bias_sums = wx + p.I * columns;           // in the order of d_at

    explicit WeightGradients(const Problem& p) : p(p) {}

    // Set a member's share to zero, for when there are no pairs.
    void clear(int member, int members) {
        const Share share((p.H + p.I) * columns + unit_blocks * (D + E) * W, member, members);
        std::fill(wh + share.first, wh + share.last, 0.0f);
    }

    // fresh: the first call.
    void add(Chunk& chunk, long pairs, bool fresh, int member, int members) {
        if (needs_h && needs_x && !Cell::separate_terms) {
            multiply(chunk, pairs, 0, p.H + p.I, wh, 0, fresh, member, members);
        } else {
            if (needs_h) multiply(chunk, pairs, 0, p.H, wh, Cell::h_first, fresh, member, members);
            if (needs_x) multiply(chunk, pairs, chunk.x_first, p.I, wx, Cell::x_first, fresh, member, members);
        }
        const Share share(unit_blocks * (D + E), member, members);
        constexpr float one = 1;
        for (long v = share.first; v < share.last; v += max_tile_vectors)
            transposed_tiles[std::min<long>(max_tile_vectors, share.last - v)][1](&one, 0, chunk.d(0) + v * W, chunk.d_stride, pairs,
                                                                     bias_sums + v * W, 0, fresh);
    }

    // Write the gradients in the layout of the caller.
    void write(int member, int members) const {
        const Share share(unit_blocks, member, members);
        for (long block = share.first; block < share.last; ++block) {
            const long unit = block * W, n = std::min<long>(W, p.H - unit);
            for (int g = 0; g < G; ++g) {
                const long column = (block * G + g) * W, to_x = Cell::x_gates[g] * p.H + unit;
                if (needs_x) unpack_column(wx + column, columns, p.I, n, p.dweights[0] + to_x * p.I);
                store_sum(Preactivations<Cell>::bias_index, to_x, block, Cell::x_first + g, n);
                if constexpr (Cell::dense) {
                    const long to_h = Cell::h_gates[g] * p.H + unit;
                    if (needs_h) unpack_column(wh + column, columns, p.H, n, p.dweights[1] + to_h * p.H);
                    store_sum(Preactivations<Cell>::bias_index + 1, to_h, block, Cell::h_first + g, n);
                }
            }
            for (int e = 0; e < E; ++e) store_sum(Preactivations<Cell>::extra_index + e, unit, block, D + e, n);
        }
    }

private:
    void store_sum(int weight, long to, long block, int d, long n) const {
        if (p.dweights[weight]) store_first(p.dweights[weight] + to, load(bias_sums + d_at<Cell>(unit_blocks, block, d)), n);
    }

    // target (rows, columns) += inputs^T d, for the members' share of the rows.
    void multiply(Chunk& chunk, long pairs, long first, long rows, float* target, int d_first, bool fresh,
                 int member, int members) {
        constexpr int V = D == 1 ? max_tile_vectors : G;     // adjacent vectors of d
        constexpr long adjacent_blocks = V / G;
        for (long block = 0; block < unit_blocks; block += adjacent_blocks)
            add_gradient_share({pairs, chunk.inputs(0) + first, chunk.input_stride, chunk.d(0) + (block * D + d_first) * W,
                          chunk.d_stride},
                         rows, static_cast<int>(std::min(adjacent_blocks, unit_blocks - block)) * G,
                         target + block * G * W, columns, fresh, member, members);
    }
};

}  // namespace regen::REGEN_ISA
