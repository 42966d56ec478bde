// The Python module regen._native. Arrays are tensors or addresses; the caller (kernels/native) has checked them.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels.h"

namespace nb = nanobind;

namespace regen {

Stepper::Stepper(const Problem& problem) : p(problem) {
    p.T = 1, p.x_stride_b = p.I, p.x_stride_t = p.I, p.threads = 1;
    const long sizes[] = {p.P, p.H};
    for (int k = 0; k < max_states; ++k) {
        states[k].assign(p.B * sizes[k], 0.0f);
        p.state[k] = p.last[k] = states[k].data();
    }
}

Stepper::~Stepper() = default;

namespace {

// Tables that this processor can run, best first; the operating system must save the wide registers too.
std::vector<const Table*> runnable() {
    std::vector<const Table*> tables;
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        tables.push_back(&avx512::table());
    if (has_avx2) tables.push_back(&avx2::table());
    tables.push_back(&baseline::table());
#elif defined(__aarch64__)
    tables.push_back(&neon::table());
#else
    tables.push_back(&baseline::table());
#endif
    return tables;
}

const std::vector<const Table*> tables = runnable();
std::atomic<const Table*> chosen = tables.front();

std::vector<std::string> isas() {
    std::vector<std::string> names;
    for (const Table* table : tables) names.emplace_back(table->isa);
    return names;
}

void use(const std::string& isa) {
    for (const Table* table : tables)
        if (isa == table->isa) {
            chosen = table;
            return;
        }
    std::string known;
    for (const Table* table : tables) known += (known.empty() ? "'" : ", '") + std::string(table->isa) + "'";
    throw std::invalid_argument("This processor runs " + known + ". Got '" + isa + "' instead; name one of those.");
}

constexpr std::array<const char*, 11> kinds = {
    "elman_tanh", "elman_relu", "diagonal_tanh", "diagonal_relu", "jordan_tanh", "jordan_relu",
    "lstm_none",  "lstm_output", "lstm_full",    "gru_after",     "gru_before",
};

Kind kind(const std::string& name) {
    for (std::size_t k = 0; k < kinds.size(); ++k)
        if (name == kinds[k]) return static_cast<Kind>(k);
    throw std::invalid_argument("There is no cell '" + name + "'.");
}

using Address = std::uintptr_t;

// The address of an array: None is null, an int is an address, and a tensor has a data_ptr().
Address address(nb::handle array) {
    static PyObject* const data_ptr = PyUnicode_InternFromString("data_ptr");
    if (array.is_none()) return 0;
    if (PyLong_Check(array.ptr())) return nb::cast<Address>(array);
    PyObject* arguments[] = {array.ptr()};
    const nb::object pointer = nb::steal(PyObject_VectorcallMethod(data_ptr, arguments, 1, nullptr));
    if (!pointer.is_valid()) throw nb::python_error();
    return nb::cast<Address>(pointer);
}

template <class Pointer>
Pointer at(Address address) { return reinterpret_cast<Pointer>(address); }
template <class Pointer>
Pointer at(nb::handle array) { return at<Pointer>(address(array)); }

// Copy a tuple of arrays or numbers to the start of a fixed array.
template <class To, std::size_t n>
void fill(const nb::tuple& values, To (&array)[n]) {
    const std::size_t size = values.size();
    if (size > n) throw std::invalid_argument("too many_registers arrays for a cell");
    for (std::size_t k = 0; k < size; ++k) {
        const nb::handle value = values[k];
        if constexpr (std::is_pointer_v<To>) array[k] = at<To>(value);
        else array[k] = static_cast<To>(nb::cast<double>(value));
    }
}

// One cell of one size; the methods run it on memory of the caller.
class Layer {
public:
    Layer(const std::string& cell, long I, long H, long P) : problem{} {
        problem.kind = kind(cell);
        problem.I = I, problem.H = H, problem.P = P;
    }

    long saved(long B, long T, bool zoned, bool low) const {
        Problem p = problem;
        p.B = B, p.T = T, p.low = low, p.zoneout[0] = zoned;
        return chosen.load()->saved(p);
    }

    std::unique_ptr<Stepper> stepper(long B, nb::tuple weights) const {
        Problem p = problem;
        p.B = B;
        fill(weights, p.weights);
        return chosen.load()->stepper(p);
    }

    void forward(long B, long T, nb::handle x, long x_stride_b, long x_stride_t, nb::tuple weights, nb::tuple state,
                 nb::handle lengths, bool reverse, nb::handle keep, nb::tuple zoneout_masks, nb::tuple zoneout,
                 nb::handle out, nb::tuple last, nb::handle saved, bool low, nb::tuple gates, int threads) const {
        Problem p = shared(B, T, x, x_stride_b, x_stride_t, weights, state, lengths, reverse, keep, zoneout_masks,
                           zoneout, out, saved, low, threads);
        fill(last, p.last);
        fill(gates, p.gates);
        const nb::gil_scoped_release released;
        chosen.load()->forward(p);
    }

    void backward(long B, long T, nb::handle x, long x_stride_b, long x_stride_t, nb::tuple weights, nb::tuple state,
                  nb::handle lengths, bool reverse, nb::handle keep, nb::tuple zoneout_masks, nb::tuple zoneout,
                  nb::handle out, nb::handle saved, bool low, nb::handle dout, nb::tuple dlast, nb::handle dx,
                  nb::tuple dweights, nb::tuple dstate, int threads) const {
        Problem p = shared(B, T, x, x_stride_b, x_stride_t, weights, state, lengths, reverse, keep, zoneout_masks,
                           zoneout, out, saved, low, threads);
        p.dout = at<const float*>(dout);
        p.dx = at<float*>(dx);
        fill(dlast, p.dlast);
        fill(dweights, p.dweights);
        fill(dstate, p.dstate);
        const nb::gil_scoped_release released;
        chosen.load()->backward(p);
    }

private:
    Problem problem;

    Problem shared(long B, long T, nb::handle x, long x_stride_b, long x_stride_t, const nb::tuple& weights,
                   const nb::tuple& state, nb::handle lengths, bool reverse, nb::handle keep,
                   const nb::tuple& zoneout_masks, const nb::tuple& zoneout, nb::handle out, nb::handle saved, bool low,
                   int threads) const {
        Problem p = problem;
        p.B = B, p.T = T, p.x = at<const float*>(x), p.x_stride_b = x_stride_b, p.x_stride_t = x_stride_t;
        p.lengths = at<const std::int64_t*>(lengths), p.reverse = reverse, p.keep = at<const float*>(keep);
        p.out = at<float*>(out), p.saved = at<float*>(saved), p.low = low, p.threads = threads;
        fill(weights, p.weights);
        fill(state, p.state);
        fill(zoneout_masks, p.zoneout_masks);
        fill(zoneout, p.zoneout);
        return p;
    }
};

template <void (*Table::*function)(const float*, float*, long)>
void elementwise(Address x, Address y, long n) {
    (chosen.load()->*function)(at<const float*>(x), at<float*>(y), n);
}

}  // namespace

NB_MODULE(_native, m) {
    nb::set_leak_warnings(false);  // layers are cached until the interpreter ends
    m.doc() = "regen's compiled kernels.";
    m.def("isas", &isas, "Instruction sets that are compiled in and run on this processor, best first.");
    m.def("isa", [] { return std::string(chosen.load()->isa); }, "The instruction set in use.");
    m.def("use", &use, nb::arg("isa"), "Use this instruction set from now on.");
    m.def("sigmoid", &elementwise<&Table::sigmoid>, "y = sigmoid(x) for n floats at two addresses.");
    m.def("tanh", &elementwise<&Table::tanh>, "y = tanh(x) for n floats at two addresses.");
    nb::class_<Stepper>(m, "Stepper", "A cell that is run one step at a time and keeps its states.")
        .def("step", [](Stepper& s, Address x, Address out) { s.step(at<const float*>(x), at<float*>(out)); })
        .def("read", [](const Stepper& s, int k, Address to) { std::ranges::copy(s.states[k], at<float*>(to)); })
        .def("write", [](Stepper& s, int k, Address from) {
            std::copy_n(at<const float*>(from), s.states[k].size(), s.states[k].begin());
        });
    nb::class_<Layer>(m, "Layer", "A cell with its sizes.")
        .def(nb::init<const std::string&, long, long, long>())
        .def("saved", &Layer::saved, "Floats that forward saves for backward.")
        .def("stepper", &Layer::stepper, "The cell with packed weights, one step at a time for B rows.")
        .def("forward", &Layer::forward, "Unfold the cell over time.")
        .def("backward", &Layer::backward, "Gradients of the loss with respect to the inputs, weights and first states.");
}

}  // namespace regen
