// Gated recurrent unit: cells/gru.py, one step of one row and W units.
#pragma once

#include "activation.h"
#include "two_stage.h"

namespace regen::REGEN_ISA {

// reset="after": the reset gate acts on U_n h + b_hn.
struct GruAfter {
    static constexpr int G = 3, A = 4, E = 0, D = 4;   // A: r z n, U_n h + b_hn.  D: W_n x, r, z, U_n h
    static constexpr bool dense = true, separate_terms = true, context = false, reads_h_prev = true, output_is_gate = false;
    // Derivatives 0 1 2 belong to the gates n r z of W, and 1 2 3 to r z n of U.
    static constexpr int x_gates[] = {2, 0, 1}, h_gates[] = {0, 1, 2}, x_first = 0, h_first = 1;

    // x, u: W x + b and U h + b of r z n.
    REGEN_INLINE static void forward(const vec* x, const vec* u, vec h_prev, vec, const vec*, vec* act, vec& h, vec&) {
        const vec r = act[0] = sigmoid(x[0] + u[0]);
        const vec z = act[1] = sigmoid(x[1] + u[1]);
        act[3] = u[2];
        const vec n = act[2] = tanh(x[2] + r * u[2]);
        h = (1 - z) * n + z * h_prev;
    }

    REGEN_INLINE static void backward(const vec* act, vec h_prev, vec, const vec*, vec dh, vec&, vec* d,
                                      vec& dh_prev) {
        const vec r = act[0], z = act[1], n = act[2], u = act[3];
        d[0] = dh * (1 - z) * (1 - n * n);
        d[1] = d[0] * u * r * (1 - r);
        d[2] = dh * (h_prev - n) * z * (1 - z);
        d[3] = d[0] * r;
        dh_prev = dh * z;
    }
};

// reset="before": the reset gate acts on h_{t-1}, before the product with U_n.
// First map: r and z; m = r * h_in. Second map: n.
struct GruBefore {
    static constexpr int G = 2, A = 3, middle_gates = 1;      // A: r z n
    static constexpr bool same_units = true;

    static Affine first(const Problem& p) { return gates(p, 2, 0); }
    static Affine second(const Problem& p) { return gates(p, 1, 2); }
    static Affine gates(const Problem& p, int G, long before) {
        const long row = before * p.H;
        return {G, p.H, p.I, p.H,
                p.weights[0] + row * p.I, p.weights[1] + row * p.H,
                offset_or_null(p.weights[2], row), offset_or_null(p.weights[3], row),
                offset_or_null(p.dweights[0], row * p.I), offset_or_null(p.dweights[1], row * p.H),
                offset_or_null(p.dweights[2], row), offset_or_null(p.dweights[3], row)};
    }

    REGEN_INLINE static void activate(const vec* x, vec* act) {
        act[0] = sigmoid(x[0]);
        act[1] = sigmoid(x[1]);
    }
    REGEN_INLINE static vec middle(const vec* act, vec h_in) { return act[0] * h_in; }
    REGEN_INLINE static vec output(vec x, vec h_prev, vec* act) {
        const vec z = act[1], n = act[2] = tanh(x);
        return (1 - z) * n + z * h_prev;
    }

    REGEN_INLINE static void backward_output(const vec* act, vec h_prev, vec dh, vec* d, vec& d_second, vec& dh_prev) {
        const vec z = act[1], n = act[2];
        d_second = dh * (1 - z) * (1 - n * n);
        d[1] = dh * (h_prev - n) * z * (1 - z);
        dh_prev = dh * z;
    }
    REGEN_INLINE static void backward_middle(const vec* act, vec h_in, vec d_middle, vec* d, vec& dh_in) {
        const vec r = act[0];
        d[0] = d_middle * h_in * r * (1 - r);
        dh_in = d_middle * r;
    }
};

}  // namespace regen::REGEN_ISA
