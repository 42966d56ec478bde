// The Python module regen._native: picks the function table of the best instruction set that this processor runs.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels.h"

namespace nb = nanobind;

namespace regen {
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

}  // namespace

NB_MODULE(_native, m) {
    m.doc() = "regen's compiled kernels.";
    m.def("isas", &isas, "Instruction sets that are compiled in and run on this processor, best first.");
    m.def("isa", [] { return std::string(chosen.load()->isa); }, "The instruction set in use.");
    m.def("use", &use, nb::arg("isa"), "Use this instruction set from now on.");
}

}  // namespace regen
