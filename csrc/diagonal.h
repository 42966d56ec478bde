// Feedback of each neuron to itself: cells/diagonal.py, one step of one row and W units.
#pragma once

#include "elman.h"

namespace regen::REGEN_ISA {

template <Nonlinearity f>
struct Diagonal {
    static constexpr int G = 1, A = 1, E = 1, D = 1;   // derivatives: of the preactivation, and E of u
    static constexpr bool dense = false, separate_terms = false, context = false, reads_h_prev = true, output_is_gate = true;
    static constexpr int x_gates[] = {0}, h_gates[] = {0}, x_first = 0, h_first = 0;

    // h_prev: after recurrent dropout. extra: u.
    REGEN_INLINE static void forward(const vec* z, const vec*, vec h_prev, vec, const vec* extra, vec* act, vec& h,
                                     vec&) {
        h = act[0] = nonlinearity<f>(z[0] + extra[0] * h_prev);
    }

    REGEN_INLINE static void backward(const vec* act, vec h_prev, vec, const vec* extra, vec dh, vec&, vec* d,
                                      vec& dh_prev) {
        d[0] = nonlinearity_backward<f>(act[0], dh);
        d[1] = d[0] * h_prev;
        dh_prev = d[0] * extra[0];
    }
};

}  // namespace regen::REGEN_ISA
