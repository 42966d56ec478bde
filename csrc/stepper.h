// A cell run step by step: it keeps packed weights and states, and allocates nothing in a step.
#pragma once

#include "kernels.h"
#include "forward.h"

namespace regen::REGEN_ISA {

// problem: B, kind, sizes and weights, which are copied. Starts from states of zeros.
template <class Engine>
class PackedStepper final : public Stepper {
public:
    explicit PackedStepper(const Problem& problem) : Stepper(problem), engine(p) { engine.pack(); }

    void step(const float* x, float* out) override {
        p.x = x;
        p.out = out;
        engine.run_packed();
    }

private:
    Engine engine;
};

}  // namespace regen::REGEN_ISA
