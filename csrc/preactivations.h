// Preactivations of a cell: W x_t + b, and U h_{t-1} + b.
#pragma once

#include "plan.h"

namespace regen::REGEN_ISA {

constexpr int max_extra = 3;
constexpr long scratch_floats = max_tile_rows * max_tile_vectors * W;

// The weights of a cell, packed for the forward pass. A panel is max_tile_vectors / G units' blocks of G gates.
template <class Cell>
struct Preactivations {
    static constexpr int V = Cell::G == 1 ? max_tile_vectors : Cell::G, units = V / Cell::G;
    const Problem& p;
    const long unit_blocks = blocks(p.H);
    Packed wx{nullptr, p.I, unit_blocks * Cell::G, V}, wh{nullptr, Cell::dense ? p.H : 0, unit_blocks * Cell::G, V};
    ScratchFloats memory{wx.floats() + wh.floats() + (2 * Cell::G + Cell::E) * unit_blocks * W};
    float *bias_x, *bias_h, *extra;   // (unit_blocks, G, W) twice, (unit_blocks, E, W); 0 in the lanes past H

    explicit Preactivations(const Problem& p) : p(p) {
        wx.data = memory;
        wh.data = wx.data + wx.floats();
        bias_x = wh.data + wh.floats();
        bias_h = bias_x + wx.blocks * W;
        extra = bias_h + wx.blocks * W;
    }

    // Pack the panels first..last.
    void pack(Share share) {
        constexpr int G = Cell::G;
        const float *b_x = p.weights[bias_index], *b_h = Cell::dense ? p.weights[bias_index + 1] : nullptr;
        for (long c = share.first * V; c < std::min(share.last * V, wx.blocks); ++c) {
            const long unit = c / G * W, gate = c % G, n = std::min<long>(W, p.H - unit), row = gate * p.H + unit;
            const long panel = c / V, v = c % V;
            pack_column(p.weights[0] + row * p.I, p.I, n, wx.column(panel, v), wx.row_stride(panel));
            if constexpr (Cell::dense)
                pack_column(p.weights[1] + row * p.H, p.H, n, wh.column(panel, v), wh.row_stride(panel));
            vec x = b_x ? load_first(b_x + row, n) : vec{}, h = b_h ? load_first(b_h + row, n) : vec{};
            if constexpr (!Cell::separate_terms) x += h;
            store(bias_x + c * W, x);
            store(bias_h + c * W, h);
            if (gate == 0) pack_extra(Share(c / G, c / G + 1));
        }
    }
    void pack_extra(Share share) {
        for (long block = share.first; block < share.last; ++block)
            for (int e = 0; e < Cell::E; ++e)
                store(extra + (block * Cell::E + e) * W, load_first(p.weights[extra_index + e] + block * W, p.H - block * W));
    }
    static constexpr int bias_index = 2, extra_index = Cell::dense ? 4 : 1;

    long panels() const { return wx.panels(); }

    // Preactivations of one panel for R rows: row r's at zx + r * width * W and, with separate terms, U h_{t-1} + b at zh.
    void operator()(long panel, int R, const float* const* x, const float* const* h_in, float* zx, float* zh) const {
        const int width = wx.width(panel);
        const long at = panel * V * W, stride = width * W;
        const Term terms[] = {{x, wx.panel(panel), p.I, wx.part_stride(panel)},
                              {h_in, wh.panel(panel), wh.K, wh.part_stride(panel)}};
        if constexpr (Cell::separate_terms) {
            tiles[width][R](terms, 1, bias_x + at, 0, zx, stride);
            tiles[width][R](terms + 1, 1, bias_h + at, 0, zh, stride);
        } else {
            tiles[width][R](terms, Cell::dense ? 2 : 1, bias_x + at, 0, zx, stride);
        }
    }
};

// Zoneout: the share of the old value of state k that is kept, for row b at time t, units from `unit` on.
struct Zoneout {
    const Problem& p;
    bool any;
    explicit Zoneout(const Problem& p, int states) : p(p), any(false) {
        for (int k = 0; k < states; ++k) any |= p.zoneout_masks[k] || p.zoneout[k] != 0;
    }
    vec operator()(int k, long b, long t, long unit, long n) const {
        const float* mask = p.zoneout_masks[k];
        return mask ? load_first(mask + (b * p.T + t) * p.P + unit, n) : splat(p.zoneout[k]);
    }
};

}  // namespace regen::REGEN_ISA
