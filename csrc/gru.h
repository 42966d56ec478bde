// One gate trades the old output for the new: cells/gru.py with reset="after", one step of one row and W units.
#pragma once

#include "activation.h"

namespace regen::REGEN_ISA {

struct GruAfter {
    static constexpr int G = 3, A = 4, E = 0, D = 4;   // A: r z n, U_n h + b_hn.  D: W_n x, r, z, U_n h
    static constexpr bool dense = true, apart = true, context = false, past = true;
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

}  // namespace regen::REGEN_ISA
