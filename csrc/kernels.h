// What one instruction set offers; kernels.cpp is compiled once for each of them.
#pragma once

#include <memory>
#include <vector>

#include "problem.h"

namespace regen {

// A cell that is run one step at a time and keeps its states.
class Stepper {
public:
    explicit Stepper(const Problem& problem);              // defined once, in module.cpp, not for each instruction set
    virtual ~Stepper();
    Stepper(const Stepper&) = delete;
    virtual void step(const float* x, float* out) = 0;   // x: (B, I); out: (B, P), written; they do not overlap

    std::vector<float> states[max_states];               // (B, size) each, after the last step

protected:
    Problem p;
};

struct Table {
    const char* isa;
    int lanes;                                   // floats in one vector
    long (*saved)(const Problem&);               // floats that forward saves for backward; uses B, T, H, kind, low, zoneout
    void (*forward)(const Problem&);
    void (*backward)(const Problem&);
    std::unique_ptr<Stepper> (*stepper)(const Problem&); // uses B, kind, sizes and weights
    void (*sigmoid)(const float* x, float* y, long n);   // y may be x
    void (*tanh)(const float* x, float* y, long n);
};

namespace avx512 { const Table& table(); }
namespace avx2 { const Table& table(); }
namespace baseline { const Table& table(); }
namespace neon { const Table& table(); }

}  // namespace regen
