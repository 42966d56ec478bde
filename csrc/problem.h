// Arguments of the kernels: numbers, and pointers to memory of the caller.
//
// Letters: B rows, T steps, I input features, H hidden units, P width of the output (H but for jordan).
// All arrays are float32 and contiguous but for x; a pointer that is not requested is null. Nothing is allocated for the
// caller, no pointer is kept after the call, and no two arrays overlap.
#pragma once

#include <cstdint>

namespace regen {

enum class Kind {
    elman_tanh, elman_relu, diagonal_tanh, diagonal_relu, jordan_tanh, jordan_relu,
    lstm_none, lstm_output, lstm_full, gru_after, gru_before,
};

constexpr int max_weights = 7, max_states = 2, max_gates = 5;

struct Problem {
    Kind kind;
    long B, T, I, H, P;

    // Read by forward and backward.
    const float* x;                          // (B, T, I), the features of one step contiguous
    long x_stride_b, x_stride_t;             // floats from one row, and from one step, to the next
    const float* weights[max_weights];       // in the order of the cell's `shapes`; biases may be null
    const float* state[max_states];          // (B, size) before the first step; null is zeros
    const int64_t* lengths;                  // (B,) valid steps, 0..T; null is T for all
    bool reverse;                            // from the last valid step back to the first
    const float* keep;                       // (B, P) factors on the recurrent input; null is ones
    const float* zoneout_masks[max_states];  // (B, T, size) share of the old state kept; null is `zoneout`
    float zoneout[max_states];

    // Written by forward, read by backward.
    float* out;                              // (B, T, P), 0 past a row's length; initial content is not read
    float* saved;                            // `saved` floats for the backward pass; null when available is none
    bool low;                                // save contexts only, and recompute the gates in the backward pass

    // Written by forward.
    float* last[max_states];                 // (B, size) after the last valid step
    float* gates[max_gates];                 // (B, T, H) each, 0 past a row's length

    // Read by backward.
    const float* dout;                       // (B, T, P); null is zeros. What lies past a row's length is not read
    const float* dlast[max_states];          // (B, size); null is zeros

    // Written by backward; initial content is not read.
    float* dx;                               // (B, T, I), 0 past a row's length
    float* dweights[max_weights];            // as weights
    float* dstate[max_states];               // as state

    int threads;                             // at most
};

}  // namespace regen
