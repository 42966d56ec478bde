// Every neuron hears only itself: cells/diagonal.py, one step of one row and W units.
#pragma once

#include "elman.h"

namespace regen::REGEN_ISA {

template <Squash f>
struct Diagonal {
    static constexpr int G = 1, A = 1, E = 1, D = 1;   // derivatives: of the sum, and one more of u
    static constexpr bool dense = false, apart = false, context = false, past = true, told = true;
    static constexpr int x_gates[] = {0}, h_gates[] = {0}, x_first = 0, h_first = 0;

    // h_past: as it is heard. extra: u.
    REGEN_INLINE static void forward(const vec* z, const vec*, vec h_past, vec, const vec* extra, vec* act, vec& h,
                                     vec&) {
        h = act[0] = squash<f>(z[0] + extra[0] * h_past);
    }

    REGEN_INLINE static void backward(const vec* act, vec h_past, vec, const vec* extra, vec dh, vec&, vec* d,
                                      vec& dh_past) {
        d[0] = through<f>(act[0], dh);
        d[1] = d[0] * h_past;
        dh_past = d[0] * extra[0];
    }
};

}  // namespace regen::REGEN_ISA
