// Full feedback: cells/elman.py, one step of one row and W units.
#pragma once

#include "activation.h"

namespace regen::REGEN_ISA {

enum class Nonlinearity { tanh, relu };

// f, and its derivative from its value; NaN stays NaN, as in torch.
template <Nonlinearity f>
REGEN_INLINE vec nonlinearity(vec z) {
    if constexpr (f == Nonlinearity::tanh) return tanh(z); else return z < 0 ? vec{} : z;
}
template <Nonlinearity f>
REGEN_INLINE vec nonlinearity_backward(vec value, vec d) {
    if constexpr (f == Nonlinearity::tanh) return d * (1 - value * value); else return value <= 0 ? vec{} : d;
}

template <Nonlinearity f>
struct Elman {
    static constexpr int G = 1, A = 1, E = 0, D = 1;
    static constexpr bool dense = true, separate_terms = false, context = false, reads_h_prev = false, output_is_gate = true;
    static constexpr int x_gates[] = {0}, h_gates[] = {0}, x_first = 0, h_first = 0;

    REGEN_INLINE static void forward(const vec* z, const vec*, vec, vec, const vec*, vec* act, vec& h, vec&) {
        h = act[0] = nonlinearity<f>(z[0]);
    }

    REGEN_INLINE static void backward(const vec* act, vec, vec, const vec*, vec dh, vec&, vec* d, vec& dh_prev) {
        d[0] = nonlinearity_backward<f>(act[0], dh);
        dh_prev = vec{};
    }
};

}  // namespace regen::REGEN_ISA
