// Feedback from the network's output: cells/jordan.py, one step of one row and W units.
#pragma once

#include "elman.h"
#include "two_stage.h"

namespace regen::REGEN_ISA {

// First map: h of H units, which is m. Second map: y of P units.
template <Nonlinearity f>
struct Jordan {
    static constexpr int G = 1, A = 1, middle_gates = 1;
    static constexpr bool same_units = false;

    static Affine first(const Problem& p) {
        return {1, p.H, p.I, p.P, p.weights[0], p.weights[1], p.weights[3], nullptr,
                p.dweights[0], p.dweights[1], p.dweights[3], nullptr};
    }
    static Affine second(const Problem& p) {
        return {1, p.P, 0, p.H, nullptr, p.weights[2], p.weights[4], nullptr,
                nullptr, p.dweights[2], p.dweights[4], nullptr};
    }

    REGEN_INLINE static void activate(const vec* z, vec* act) { act[0] = nonlinearity<f>(z[0]); }
    REGEN_INLINE static vec middle(const vec* act, vec) { return act[0]; }
    REGEN_INLINE static vec output(vec z, vec, vec*) { return z; }

    REGEN_INLINE static void backward_output(const vec*, vec, vec dy, vec*, vec& d_second, vec& dy_prev) {
        d_second = dy;
        dy_prev = vec{};
    }
    REGEN_INLINE static void backward_middle(const vec* act, vec, vec dh, vec* d, vec&) {
        d[0] = nonlinearity_backward<f>(act[0], dh);
    }
};

}  // namespace regen::REGEN_ISA
