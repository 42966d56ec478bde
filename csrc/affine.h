// One affine map of a cell that has two of them: its preactivations, its backward pass and the gradients of its weights.
#pragma once

#include "plan.h"

namespace regen::REGEN_ISA {

// z = W x + U a + b + c for N units of G gates, G = 1 or 2. Memory of the caller.
struct Affine {
    int G;
    long N, X, K;                     // units; features of x, 0 without x; width of a
    const float *w, *u, *b, *c;       // (G * N, X), not read when X = 0; (G * N, K); (G * N,) twice, null is zeros
    float *dw, *du, *db, *dc;         // as these, written whole; null when not requested

    long unit_blocks() const { return blocks(N); }
    long vectors() const { return unit_blocks() * G; }
};

// The rows of a gate in an array of weights that may be null.
template <class Float>
Float* offset_or_null(Float* weights, long floats) { return weights ? weights + floats : nullptr; }

// The weights packed for the forward pass. Vectors in the order (unit block, gate), max_tile_vectors of them in a panel.
class AffineForward {
public:
    explicit AffineForward(const Affine& f) : f(f) {
        w.data = memory;
        u.data = w.data + w.floats();
        bias = u.data + u.floats();
    }

    void pack(int member, int members) {
        const Share share(f.vectors(), member, members);
        for (long c = share.first; c < share.last; ++c) {
            const long unit = c / f.G * W, n = std::min<long>(W, f.N - unit), row = c % f.G * f.N + unit;
            const long panel = c / V, v = c % V;
            if (f.X) pack_column(f.w + row * f.X, f.X, n, w.column(panel, v), w.row_stride(panel));
            pack_column(f.u + row * f.K, f.K, n, u.column(panel, v), u.row_stride(panel));
            store(bias + c * W, (f.b ? load_first(f.b + row, n) : vec{}) + (f.c ? load_first(f.c + row, n) : vec{}));
        }
    }

    long panels() const { return u.panels(); }
    int width(long panel) const { return u.width(panel); }        // in vectors
    long first_block(long panel) const { return panel * V / f.G; }

    // Preactivations of one panel for R rows of x and a, width(panel) * W floats each, 0 in the lanes of units past N.
    void operator()(long panel, int R, const float* const* x, const float* const* a, float* z) const {
        const Term terms[] = {{a, u.panel(panel), f.K, u.part_stride(panel)}, {x, w.panel(panel), f.X, w.part_stride(panel)}};
        tiles[width(panel)][R](terms, f.X ? 2 : 1, bias + panel * V * W, 0, z, width(panel) * W);
    }

private:
    static constexpr int V = max_tile_vectors;
    const Affine f;
    Packed w{nullptr, f.X, f.vectors(), V}, u{nullptr, f.K, f.vectors(), V};
    ScratchFloats memory{w.floats() + u.floats() + f.vectors() * W};
    float* bias;
};

// The weights packed for the backward pass. Rows in the order of the derivatives, (unit block, gate, unit); columns: a or x.
class AffineBackward {
public:
    AffineBackward(const Affine& f, bool to_x) : f(f), x_blocks(to_x && f.X ? blocks(f.X) : 0) {
        u.data = memory;
        w.data = u.data + u.floats();
    }

    void pack(int member, int members) {
        pack_transposed(u, f.u, f.K, member, members);
        if (x_blocks) pack_transposed(w, f.w, f.X, member, members);
    }

    // d: for each row of a tile the derivatives of this map's preactivations, from `offset` on.
    Term through_u(const float* const* d, long offset, long part) const { return term(u, d, offset, part); }
    Term through_w(const float* const* d, long offset, long part) const { return term(w, d, offset, part); }
    int width(long part) const { return u.width(part); }

private:
    static constexpr int V = max_tile_vectors;
    const Affine f;
    const long x_blocks;
    Packed u{nullptr, f.vectors() * W, blocks(f.K), V}, w{nullptr, f.vectors() * W, x_blocks, V};
    ScratchFloats memory{u.floats() + w.floats()};

    static Term term(const Packed& m, const float* const* d, long offset, long part) {
        return {d, m.panel(part), m.K, m.part_stride(part), offset};
    }

    void pack_transposed(Packed& to, const float* from, long columns, int member, int members) const {
        const Share share(f.vectors(), member, members);
        for (long part = 0; part < to.panels(); ++part)
            for (int v = 0; v < to.width(part); ++v) {
                const long column = (part * V + v) * W;
                float* rows = to.column(part, v);
                for (long row = share.first * W; row < share.last * W; ++row) {
                    const long block = row / W / f.G, gate = row / W % f.G, unit = block * W + row % W;
                    const float* weight = from + (gate * f.N + unit) * columns + column;
                    store(rows + row * to.row_stride(part), unit < f.N ? load_first(weight, columns - column) : vec{});
                }
            }
    }
};

// Gradients of the weights. The inputs of a map lie next to each other, with a 1 for the biases: a, x, 1 or x, 1, a.
class AffineWeightGradients {
public:
    // a, one: where a and the 1 lie in a pair's record; x lies before the 1.
    AffineWeightGradients(const Affine& f, long a, long one)
        : f(f), a(a), x(one - f.X), one(one), from(std::min(f.du ? a : one, f.dw ? x : one)),
          to(std::max(one + 1, f.du ? a + f.K : 0)) {}

    // Set a member's share to zero, for when there are no pairs.
    void clear(int member, int members) {
        const Share share((to - from) * columns, member, members);
        std::fill(gradients + share.first, gradients + share.last, 0.0f);
    }

    // sums += records^T d, for the member's share of the inputs. fresh: the first call.
    void add(const GradientPairs& pairs, bool fresh, int member, int members) {
        for (long v = 0; v < f.vectors(); v += V)
            add_gradient_share({pairs.n, pairs.records + from, pairs.stride, pairs.d + v * W, pairs.d_stride}, to - from,
                         static_cast<int>(std::min<long>(V, f.vectors() - v)), row(from) + v * W, columns, fresh, member,
                         members);
    }

    // Write the gradients in the layout of the caller.
    void write(int member, int members) const {
        const Share share(f.vectors(), member, members);
        for (long v = share.first; v < share.last; ++v) {
            const long unit = v / f.G * W, n = std::min<long>(W, f.N - unit), at = v % f.G * f.N + unit;
            if (f.du) unpack_column(row(a) + v * W, columns, f.K, n, f.du + at * f.K);
            if (f.dw) unpack_column(row(x) + v * W, columns, f.X, n, f.dw + at * f.X);
            for (float* bias : {f.db, f.dc})
                if (bias) store_first(bias + at, load(row(one) + v * W), n);
        }
    }

private:
    static constexpr int V = max_tile_vectors;
    const Affine f;
    const long a, x, one, from, to, columns = f.vectors() * W;
    ScratchFloats memory{(to - from) * columns};        // (to - from, vectors, W): transposed
    float* const gradients = memory;
    float* row(long input) const { return gradients + (input - from) * columns; }
};

}  // namespace regen::REGEN_ISA
