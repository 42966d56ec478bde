// Compiled once per instruction set, with -DREGEN_ISA=avx512, avx2, baseline or neon and the flags of that set.
#include "kernels.h"

#include <stdexcept>

#include "diagonal.h"
#include "elman.h"
#include "gru.h"
#include "jordan.h"
#include "lstm.h"
#include "stepper.h"
#include "two_stage_backward.h"
#include "forward.h"
#include "backward.h"

#define REGEN_NAME_(isa) #isa
#define REGEN_NAME(isa) REGEN_NAME_(isa)

namespace regen::REGEN_ISA {
namespace {

// Call job.template operator()<Cell>() with the cell of this kind.
template <class Job>
auto with_cell(Kind kind, Job job) {
    switch (kind) {
        case Kind::elman_tanh: return job.template operator()<Elman<Nonlinearity::tanh>>();
        case Kind::elman_relu: return job.template operator()<Elman<Nonlinearity::relu>>();
        case Kind::diagonal_tanh: return job.template operator()<Diagonal<Nonlinearity::tanh>>();
        case Kind::diagonal_relu: return job.template operator()<Diagonal<Nonlinearity::relu>>();
        case Kind::jordan_tanh: return job.template operator()<Jordan<Nonlinearity::tanh>>();
        case Kind::jordan_relu: return job.template operator()<Jordan<Nonlinearity::relu>>();
        case Kind::lstm_none: return job.template operator()<Lstm<Peephole::none>>();
        case Kind::lstm_output: return job.template operator()<Lstm<Peephole::output>>();
        case Kind::lstm_full: return job.template operator()<Lstm<Peephole::full>>();
        case Kind::gru_after: return job.template operator()<GruAfter>();
        case Kind::gru_before: return job.template operator()<GruBefore>();
        default: throw std::invalid_argument("no kernel for this cell");
    }
}

long saved(const Problem& p) {
    return with_cell(p.kind, [&]<class Cell>() { return Saved<Cell>::floats(p); });
}

void forward(const Problem& p) {
    with_cell(p.kind, [&]<class Cell>() { Forward<Cell>(p).run(); });
}

void backward(const Problem& p) {
    with_cell(p.kind, [&]<class Cell>() { Backward<Cell>(p).run(); });
}

std::unique_ptr<Stepper> stepper(const Problem& p) {
    return with_cell(p.kind, [&]<class Cell>() -> std::unique_ptr<Stepper> {
        return std::make_unique<PackedStepper<Forward<Cell>>>(p);
    });
}

void sigmoids(const float* x, float* y, long n) {
    for (long i = 0; i < n; i += W) store_first(y + i, sigmoid(load_first(x + i, n - i)), n - i);
}

void tanhs(const float* x, float* y, long n) {
    for (long i = 0; i < n; i += W) store_first(y + i, tanh(load_first(x + i, n - i)), n - i);
}

}  // namespace

const Table& table() {
    static constexpr Table here{REGEN_NAME(REGEN_ISA), W, saved, forward, backward, stepper, sigmoids, tanhs};
    return here;
}

}  // namespace regen::REGEN_ISA
