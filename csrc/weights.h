// What the weights did to the cost: large products over the pairs of row and step in a chunk.
#pragma once

#include "sums.h"

namespace regen::REGEN_ISA {

// Where derivative k of one block of units lies: those of the sums side by side, after them those of vectors of weights.
template <class Cell>
constexpr long d_at(long unit_blocks, long block, int k) {
    return (k < Cell::D ? block * Cell::D + k : unit_blocks * Cell::D + block * Cell::E + k - Cell::D) * W;
}

// The pairs of a chunk: what was heard and read, beside what every sum did to the cost. Scratch.
struct Chunk {
    const long steps;                        // in a chunk
    const long x_first, heard_stride, d_stride;
    Floats heards, ds;                       // (pairs, heard_stride): h then x; (pairs, d_stride): see d_at
    std::vector<float*> dx;                  // (pairs,) where the input's share goes

    Chunk(const Problem& p, const Plan& plan, int D)
        : steps(size(p, plan, D)), x_first(p.H), heard_stride(odd(p.H + p.I)), d_stride(odd(blocks(p.H) * D * W)),
          heards(steps * p.B * heard_stride), ds(steps * p.B * d_stride), dx(steps * p.B) {}

    long first(long end) const { return std::max(0L, end - steps); }
    float* heard(long pair) { return heards + pair * heard_stride; }
    float* d(long pair) { return ds + pair * d_stride; }

private:
    // Whole cache lines, an odd number of them: neighbours in a column fall into different sets of the cache.
    static long odd(long floats) { return ((floats + 15) / 16 | 1) * 16; }
    static long size(const Problem& p, const Plan& plan, int D) {
        constexpr long cached = many ? 1 << 18 : 1 << 17;   // floats that stay near a core
        const long pairs = std::max(96L, cached / (blocks(p.H) * D * W));
        return std::max(1L, std::min(plan.steps, pairs / std::max(1L, p.B)));
    }
};

// The weights packed for the way back: rows are the derivatives in their order in a pair, columns the units or inputs.
template <class Cell>
struct Back {
    static constexpr int G = Cell::G, D = Cell::D, V = most_vectors;
    const Problem& p;
    const long unit_blocks = blocks(p.H);
    Packed wh{nullptr, unit_blocks * G * W, Cell::dense ? unit_blocks : 0, V};
    Packed wx{nullptr, unit_blocks * G * W, p.dx ? blocks(p.I) : 0, V};
    Floats memory{wh.floats() + wx.floats()};

    explicit Back(const Problem& p) : p(p) {
        wh.data = memory;
        wx.data = wh.data + wh.floats();
        if (!Cell::dense) wh.blocks = 0;
    }

    void pack(int member, int members) {
        if constexpr (Cell::dense) lay(wh, p.weights[1], p.H, Cell::h_gates, member, members);
        if (p.dx) lay(wx, p.weights[0], p.I, Cell::x_gates, member, members);
    }

    // Units in the groups that a product takes at once, so that a panel stays in the cache.
    long group_blocks() const { return std::max(1L, 512L / (G * W)); }

    Term through_h(const float* const* d, long part, long from, long to) const {
        return term(wh, d, part, Cell::h_first, from, to);
    }
    Term through_x(const float* const* d, long part) const {
        return term(wx, d, part, Cell::x_first, 0, unit_blocks);
    }

private:
    static Term term(const Packed& w, const float* const* d, long part, int first, long from, long to) {
        const float* panel = w.panel(part) + from * G * W * w.step(part);
        const long offset = (from * D + first) * W, apart = w.apart(part);
        if (D == G) return {d, panel, (to - from) * G * W, apart, offset};
        return {d, panel, G * W, apart, offset, to - from, D * W};
    }

    // from: (G * H, columns). Rows in the order (unit block, gate, unit), 0 for units past H.
    void lay(Packed& to, const float* from, long columns, const int* gates, int member, int members) const {
        const Share share(unit_blocks, member, members);
        for (long part = 0; part < to.panels(); ++part)
            for (int v = 0; v < to.width(part); ++v) {
                const long column = (part * V + v) * W;
                float* row = to.column(part, v) + share.first * G * W * to.step(part);
                for (long block = share.first; block < share.last; ++block)
                    for (int g = 0; g < G; ++g)
                        for (long u = block * W; u < block * W + W; ++u, row += to.step(part))
                            store(row, u < p.H ? take(from + (gates[g] * p.H + u) * columns + column, columns - column)
                                               : vec{});
            }
    }
};

template <class Each>
REGEN_INLINE void by_blocks(long n, long size, Each each) {
    for (long from = 0; from < n; from += size) each(from, std::min(from + size, n));
}

// Sums over all pairs: dW, dU, and the columns of d themselves for biases and vectors of weights.
template <class Cell>
struct Gradients {
    static constexpr int G = Cell::G, D = Cell::D, E = Cell::E;
    const Problem& p;
    const long unit_blocks = blocks(p.H);
    const bool wanted_h = Cell::dense && p.dweights[1], wanted_x = p.dweights[0];
    const long columns = unit_blocks * G * W;        // of one row of weights
    Floats memory{(p.H + p.I) * columns + unit_blocks * (D + E) * W};
    float *wh = memory, *wx = wh + p.H * columns;    // (H, unit blocks, G, W), (I, unit blocks, G, W), transposed
    float *sums = wx + p.I * columns;                // as d_at says

    explicit Gradients(const Problem& p) : p(p) {}

    // The members' shares of what no pair will write.
    void clear(int member, int members) {
        const Share share((p.H + p.I) * columns + unit_blocks * (D + E) * W, member, members);
        std::fill(wh + share.first, wh + share.last, 0.0f);
    }

    // fresh: nothing has been added yet.
    void add(Chunk& chunk, long pairs, bool fresh, int member, int members) {
        if (wanted_h && wanted_x && !Cell::apart) {
            product(chunk, pairs, 0, p.H + p.I, wh, 0, fresh, member, members);
        } else {
            if (wanted_h) product(chunk, pairs, 0, p.H, wh, Cell::h_first, fresh, member, members);
            if (wanted_x) product(chunk, pairs, chunk.x_first, p.I, wx, Cell::x_first, fresh, member, members);
        }
        const Share share(unit_blocks * (D + E), member, members);
        constexpr float one = 1;
        for (long v = share.first; v < share.last; v += most_vectors)
            gathers[std::min<long>(most_vectors, share.last - v)][1](&one, 0, chunk.d(0) + v * W, chunk.d_stride, pairs,
                                                                     sums + v * W, 0, fresh);
    }

    // From the order of the products to that of the caller.
    void write(int member, int members) const {
        const Share share(unit_blocks, member, members);
        for (long block = share.first; block < share.last; ++block) {
            const long unit = block * W, n = std::min<long>(W, p.H - unit);
            for (int g = 0; g < G; ++g) {
                const long column = (block * G + g) * W, to_x = Cell::x_gates[g] * p.H + unit;
                if (wanted_x) unpack_column(wx + column, columns, p.I, n, p.dweights[0] + to_x * p.I);
                put_sum(Sums<Cell>::bias_index, to_x, block, Cell::x_first + g, n);
                if constexpr (Cell::dense) {
                    const long to_h = Cell::h_gates[g] * p.H + unit;
                    if (wanted_h) unpack_column(wh + column, columns, p.H, n, p.dweights[1] + to_h * p.H);
                    put_sum(Sums<Cell>::bias_index + 1, to_h, block, Cell::h_first + g, n);
                }
            }
            for (int e = 0; e < E; ++e) put_sum(Sums<Cell>::extra_index + e, unit, block, D + e, n);
        }
    }

private:
    void put_sum(int weight, long to, long block, int d, long n) const {
        if (p.dweights[weight]) put(p.dweights[weight] + to, load(sums + d_at<Cell>(unit_blocks, block, d)), n);
    }

    // target (rows, columns) += heard^T d, for the members' share of the rows.
    void product(Chunk& chunk, long pairs, long first, long rows, float* target, int d_first, bool fresh,
                 int member, int members) {
        constexpr int V = D == 1 ? most_vectors : G;     // neighbouring vectors of d
        constexpr long blocks_beside = V / G;
        for (long block = 0; block < unit_blocks; block += blocks_beside)
            gather_share({pairs, chunk.heard(0) + first, chunk.heard_stride, chunk.d(0) + (block * D + d_first) * W,
                          chunk.d_stride},
                         rows, static_cast<int>(std::min(blocks_beside, unit_blocks - block)) * G,
                         target + block * G * W, columns, fresh, member, members);
    }
};

}  // namespace regen::REGEN_ISA
