// One step after the other: a cell that keeps its weights packed, its states, and allocates nothing.
#pragma once

#include "kernels.h"
#include "unfold.h"

namespace regen::REGEN_ISA {

// given: B, kind, sizes and weights; the weights are read now and not again. Starts from states of zeros.
template <class Engine>
class OneByOne final : public Stepper {
public:
    explicit OneByOne(const Problem& given) : Stepper(given), engine(p) { engine.pack(); }

    void step(const float* x, float* out) override {
        p.x = x;
        p.out = out;
        engine.again();
    }

private:
    Engine engine;
};

}  // namespace regen::REGEN_ISA
