// Memory cells: cells/lstm.py, one step of one row and W units.
#pragma once

#include "activation.h"

namespace regen::REGEN_ISA {

enum class Peephole { none, output, full };

template <Peephole peephole>
struct Lstm {
    static constexpr int G = 4;               // blocks of weight_ih and weight_hh: i f g o
    static constexpr int A = 4;               // saved for the backward pass: i f g o
    static constexpr int E = peephole == Peephole::none ? 0 : peephole == Peephole::output ? 1 : 3;  // vectors of weights
    static constexpr int D = 4;               // derivatives: i f g o, and E more for the peepholes
    static constexpr bool dense = true;              // a recurrent matrix, not a vector
    static constexpr bool separate_terms = false;    // forward takes W x and U h as one sum
    static constexpr bool context = true;            // a second state, c
    static constexpr bool reads_h_prev = false;      // forward uses h_{t-1} outside of the matrix product
    static constexpr bool output_is_gate = false;    // the only gate equals the output, unless zoneout changes it
    static constexpr int x_gates[] = {0, 1, 2, 3}, h_gates[] = {0, 1, 2, 3}, x_first = 0, h_first = 0;

    // z: the four preactivations without peepholes. extra: w_ci w_cf w_co, or w_co.
    REGEN_INLINE static void forward(const vec* z, const vec*, vec, vec c_prev, const vec* extra, vec* act, vec& h,
                                     vec& c) {
        vec to_i = z[0], to_f = z[1], to_o = z[3];
        if constexpr (peephole == Peephole::full) to_i += extra[0] * c_prev, to_f += extra[1] * c_prev;
        act[0] = sigmoid(to_i);
        act[1] = sigmoid(to_f);
        act[2] = tanh(z[2]);
        c = act[1] * c_prev + act[0] * act[2];
        if constexpr (peephole != Peephole::none) to_o += extra[E - 1] * c;
        act[3] = sigmoid(to_o);
        h = act[3] * tanh(c);
    }

    // dh, dc: gradients of the loss with respect to h and c of this step. Writes d, and to dc the gradient of c_{t-1}.
    REGEN_INLINE static void backward(const vec* act, vec, vec c_prev, const vec* extra, vec dh, vec& dc, vec* d,
                                      vec& dh_prev) {
        const vec i = act[0], f = act[1], g = act[2], o = act[3];
        const vec c = f * c_prev + i * g, read = tanh(c);
        d[3] = dh * read * o * (1 - o);
        dc += dh * o * (1 - read * read);
        if constexpr (peephole != Peephole::none) dc += extra[E - 1] * d[3], d[G + E - 1] = d[3] * c;
        d[0] = dc * g * i * (1 - i);
        d[1] = dc * c_prev * f * (1 - f);
        d[2] = dc * i * (1 - g * g);
        dc *= f;
        if constexpr (peephole == Peephole::full) {
            dc += extra[0] * d[0] + extra[1] * d[1];
            d[G] = d[0] * c_prev;
            d[G + 1] = d[1] * c_prev;
        }
        dh_prev = vec{};
    }
};

}  // namespace regen::REGEN_ISA
