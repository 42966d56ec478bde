// What one instruction set offers; kernels.cpp is compiled once for each of them.
#pragma once

#include "problem.h"

namespace regen {

struct Table {
    const char* isa;
    int lanes;                                   // floats in one vector
    long (*saved)(const Problem&);               // floats that forward keeps for backward: B, T, H, kind and low are read
    void (*forward)(const Problem&);
    void (*backward)(const Problem&);
    void (*sigmoid)(const float* x, float* y, long n);   // y may be x
    void (*tanh)(const float* x, float* y, long n);
};

namespace avx512 { const Table& table(); }
namespace avx2 { const Table& table(); }
namespace baseline { const Table& table(); }
namespace neon { const Table& table(); }

}  // namespace regen
