// One gate trades the old output for the new: cells/gru.py, one step of one row and W units.
#pragma once

#include "activation.h"
#include "two_products.h"

namespace regen::REGEN_ISA {

// reset="after": the reset gate acts on what one product has heard.
struct GruAfter {
    static constexpr int G = 3, A = 4, E = 0, D = 4;   // A: r z n, U_n h + b_hn.  D: W_n x, r, z, U_n h
    static constexpr bool dense = true, apart = true, context = false, past = true, told = false;
    // Derivatives 0 1 2 belong to the input's gates n r z, and 1 2 3 to the past's r z n.
    static constexpr int x_gates[] = {2, 0, 1}, h_gates[] = {0, 1, 2}, x_first = 0, h_first = 1;

    // x, u: the input's and the past's share of r z n.
    REGEN_INLINE static void forward(const vec* x, const vec* u, vec h_past, vec, const vec*, vec* act, vec& h, vec&) {
        const vec r = act[0] = sigmoid(x[0] + u[0]);
        const vec z = act[1] = sigmoid(x[1] + u[1]);
        act[3] = u[2];
        const vec n = act[2] = tanh(x[2] + r * u[2]);
        h = (1 - z) * n + z * h_past;
    }

    REGEN_INLINE static void backward(const vec* act, vec h_past, vec, const vec*, vec dh, vec&, vec* d,
                                      vec& dh_past) {
        const vec r = act[0], z = act[1], n = act[2], u = act[3];
        d[0] = dh * (1 - z) * (1 - n * n);
        d[1] = d[0] * u * r * (1 - r);
        d[2] = dh * (h_past - n) * z * (1 - z);
        d[3] = d[0] * r;
        dh_past = dh * z;
    }
};

// reset="before": the reset gate acts on the past, and a second product hears what it leaves.
// First map: r and z; the middle is r times what was heard. Second map: n.
struct GruBefore {
    static constexpr int G = 2, A = 3, early = 1;      // A: r z n
    static constexpr bool alike = true;

    static Affine first(const Problem& p) { return gates(p, 2, 0); }
    static Affine second(const Problem& p) { return gates(p, 1, 2); }
    static Affine gates(const Problem& p, int G, long before) {
        const long row = before * p.H;
        return {G, p.H, p.I, p.H,
                p.weights[0] + row * p.I, p.weights[1] + row * p.H,
                beyond(p.weights[2], row), beyond(p.weights[3], row),
                beyond(p.dweights[0], row * p.I), beyond(p.dweights[1], row * p.H),
                beyond(p.dweights[2], row), beyond(p.dweights[3], row)};
    }

    REGEN_INLINE static void activate(const vec* x, vec* act) {
        act[0] = sigmoid(x[0]);
        act[1] = sigmoid(x[1]);
    }
    REGEN_INLINE static vec middle(const vec* act, vec heard) { return act[0] * heard; }
    REGEN_INLINE static vec output(vec x, vec h_past, vec* act) {
        const vec z = act[1], n = act[2] = tanh(x);
        return (1 - z) * n + z * h_past;
    }

    REGEN_INLINE static void through_output(const vec* act, vec h_past, vec dh, vec* d, vec& d_second, vec& dh_past) {
        const vec z = act[1], n = act[2];
        d_second = dh * (1 - z) * (1 - n * n);
        d[1] = dh * (h_past - n) * z * (1 - z);
        dh_past = dh * z;
    }
    REGEN_INLINE static void through_middle(const vec* act, vec heard, vec d_middle, vec* d, vec& d_heard) {
        const vec r = act[0];
        d[0] = d_middle * heard * r * (1 - r);
        d_heard = d_middle * r;
    }
};

}  // namespace regen::REGEN_ISA
