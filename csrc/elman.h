// Full feedback: cells/elman.py, one step of one row and W units.
#pragma once

#include "activation.h"

namespace regen::REGEN_ISA {

enum class Squash { tanh, relu };

// f, and its slope from its value; NaN stays NaN, as in torch.
template <Squash f>
REGEN_INLINE vec squash(vec z) {
    if constexpr (f == Squash::tanh) return tanh(z); else return z < 0 ? vec{} : z;
}
template <Squash f>
REGEN_INLINE vec through(vec value, vec d) {
    if constexpr (f == Squash::tanh) return d * (1 - value * value); else return value <= 0 ? vec{} : d;
}

template <Squash f>
struct Elman {
    static constexpr int G = 1, A = 1, E = 0, D = 1;
    static constexpr bool dense = true, apart = false, context = false, past = false, told = true;
    static constexpr int x_gates[] = {0}, h_gates[] = {0}, x_first = 0, h_first = 0;

    REGEN_INLINE static void forward(const vec* z, const vec*, vec, vec, const vec*, vec* act, vec& h, vec&) {
        h = act[0] = squash<f>(z[0]);
    }

    REGEN_INLINE static void backward(const vec* act, vec, vec, const vec*, vec dh, vec&, vec* d, vec& dh_past) {
        d[0] = through<f>(act[0], dh);
        dh_past = vec{};
    }
};

}  // namespace regen::REGEN_ISA
