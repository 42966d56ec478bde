// What one instruction set offers; kernels.cpp is compiled once for each of them.
#pragma once

#include <memory>
#include <vector>

#include "problem.h"

namespace regen {

// A cell that takes one step at a time and remembers.
class Stepper {
public:
    explicit Stepper(const Problem& given);              // this and the next in module.cpp: not once per instruction set
    virtual ~Stepper();
    Stepper(const Stepper&) = delete;
    virtual void step(const float* x, float* out) = 0;   // x: (B, I); out: (B, P), written; they do not overlap

    std::vector<float> states[most_states];              // (B, size) each, as the last step left them

protected:
    Problem p;
};

struct Table {
    const char* isa;
    int lanes;                                   // floats in one vector
    long (*saved)(const Problem&);               // floats that forward keeps for backward; B, T, H, kind, low and zoneout are read
    void (*forward)(const Problem&);
    void (*backward)(const Problem&);
    std::unique_ptr<Stepper> (*stepper)(const Problem&); // B, kind, sizes and weights are read
    void (*sigmoid)(const float* x, float* y, long n);   // y may be x
    void (*tanh)(const float* x, float* y, long n);
};

namespace avx512 { const Table& table(); }
namespace avx2 { const Table& table(); }
namespace baseline { const Table& table(); }
namespace neon { const Table& table(); }

}  // namespace regen
