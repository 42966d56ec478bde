// Which rows are active at which step, and how threads share the work.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <vector>

#include "pack.h"
#include "problem.h"
#include "scratch_pool.h"
#include "thread_team.h"

namespace regen::REGEN_ISA {

// Tuning constants. Times: smallest of 60 to 300 interleaved repeats on two cores of an AMD EPYC (Zen 3, AVX2, 32 KiB L1 and
// 512 KiB L2 per core, shared machine), in microseconds. None of them changes a result.

// Multiply-adds of a call that a further thread must have. Waking it costs 20 to 40. LSTM of 16 rows, I = 8, H = 32, one
// thread and two by rows: forward 2.0e6 113 / 136, 4.1e6 204 / 207, 8.2e6 402 / 346; backward 8.2e6 389 / 347,
// 1.6e7 787 / 478. They are equal at 4e6 in all; the second thread starts at 8e6, where it is worth it.
constexpr double min_work_per_thread = 4e6;

// Multiply-adds between two barriers that each thread must have to share the units. LSTM of one row, 40 steps, one thread and
// two by units, by weights: 1.8e4 58 / 83, 4.0e4 110 / 95, 7.0e4 190 / 141, 1.1e5 275 / 180, 1.5e5 532 / 286. On idle cores
// 2e4 would do. The constant is higher, since a barrier waits for a thread that other processes have interrupted.
constexpr double min_work_per_barrier = 6e4;

// Weights (floats) above which threads prefer to share the units, so that each reads only its part of them; 2 MiB. Two
// threads by rows and by units, LSTM, I = 64: with 3.3e5 weights (H = 256) 4 rows 887 / 506, 16 rows 811 / 745, 32 rows
// 807 / 1026; with 4.9e5 (H = 320) 4 rows 1604 / 1094, 16 rows 1356 / 783. Here 3e5 and few rows already favour units, so a
// smaller value would be faster on a core with an L2 of 512 KiB.
constexpr double core_cache_weights = 1 << 19;

// Rows for each thread from which on threads share the rows of a net with more weights than that. Two threads by rows and by
// units: 64 rows, 4.9e5 weights 1840 / 1504; 64 rows, 3.3e5 weights 1172 / 1217: about equal at 32 rows per thread.
constexpr long min_rows_per_thread = 32;

// Floats of d, the gradients with respect to preactivations, in a chunk of steps of the backward pass: half a MiB, or one with
// AVX-512, and at least so many pairs of row and step. LSTM of 16 rows, 50 steps, H = 64: 1 << 14 1167, 1 << 15 1041,
// 1 << 16 1113, 1 << 17 1136, 1 << 18 1244, 1 << 20 1133; GRU of 40 steps 559, 580, 612, 654, 654, 652. There is little
// difference; the constants bound the scratch memory of long sequences.
constexpr long chunk_floats = many_registers ? 1 << 18 : 1 << 17, min_chunk_pairs = 96;

// Rows of a packed matrix in one product of the backward pass, so that the panel stays in the cache. The same LSTM and GRU: 64
// 1168 and 640, 256 1432 and 634, 512 1499 and 616, 1024 1244 and 663, no limit 1524 and 651: no difference beyond the noise.
constexpr long product_rows = 512;

// Scratch floats aligned to cache lines, not initialised. They come from the pool of the thread, because fresh memory from
// the system costs as much time as a small net.
class ScratchFloats {
public:
    explicit ScratchFloats(long n) : block(acquire_scratch((n * 4 + 127) / 64 * 64)) {}
    ~ScratchFloats() { release_scratch(block); }
    ScratchFloats(const ScratchFloats&) = delete;
    operator float*() const { return static_cast<float*>(block.data); }

private:
    ScratchBlock block;
};

// Rows in order of falling length: the active rows of a step are the first ones.
struct Plan {
    std::vector<long> row, length;   // (B,) each, in that order
    std::vector<long> active;        // (steps,) number of active rows
    long steps, work;                // the longest length; the sum of lengths

    explicit Plan(const Problem& p) : row(p.B), length(p.B, p.T) {
        std::iota(row.begin(), row.end(), 0);
        if (p.lengths) {
            std::stable_sort(row.begin(), row.end(), [&](long a, long b) { return p.lengths[a] > p.lengths[b]; });
            for (long i = 0; i < p.B; ++i) length[i] = p.lengths[row[i]];
        }
        steps = p.B ? length[0] : 0;
        work = std::accumulate(length.begin(), length.end(), 0L);
        active.assign(steps, p.B);
        for (long s = 0, n = p.B; s < steps; ++s) {
            while (length[n - 1] <= s) --n;
            active[s] = n;
        }
    }
    // The time of step s of the i-th row.
    long time(const Problem& p, long i, long s) const { return p.reverse ? length[i] - 1 - s : s; }
};

// Number of threads, and whether they share the units or the rows.
struct Split {
    int threads;
    bool by_units;
};

// columns: of the weights of one step. barriers: in one step, for threads that share the units.
inline Split choose_split(const Problem& p, const Plan& plan, long columns, int barriers = 1) {
    const double weights = static_cast<double>(columns) * (p.I + p.H), total = weights * plan.work;
    const long threads = std::max<long>(1, std::min<long>(p.threads, static_cast<long>(total / min_work_per_thread)));
    const bool by_rows = p.B >= (weights < core_cache_weights ? 2 : min_rows_per_thread) * threads;
    if (by_rows || threads == 1) return {static_cast<int>(std::min(threads, std::max(1L, p.B))), false};
    if (weights * p.B >= min_work_per_barrier * barriers * threads) return {static_cast<int>(threads), true};
    return {static_cast<int>(std::min(threads, p.B)), false};
}

// The part of n things that one member has.
struct Share {
    long first, last;
    Share(long first, long last) : first(first), last(last) {}
    Share(long n, int member, int members) : first(n * member / members), last(n * (member + 1) / members) {}
};

// Rows of one member, as indices into the plan: `own` rows, every `stride`-th from `first` on.
struct Rows {
    long first, stride, own;
    long operator[](long i) const { return first + i * stride; }
    long count(long active) const { return std::clamp((active - first + stride - 1) / stride, 0L, own); }
};

// The rows of one member when members share the rows. Rows of equal length are contiguous, so that members write to different
// cache lines; rows of different lengths are interleaved, so that every member gets long and short ones.
inline Rows assign_rows(const Problem& p, int member, int members) {
    if (p.lengths) return {member, members, (p.B - member + members - 1) / members};
    const Share share(p.B, member, members);
    return {share.first, 1, share.last - share.first};
}
// The rows that a member steps through: all of them when members share the units.
inline Rows rows_of(const Problem& p, Split how, int member, int members) {
    return how.by_units ? Rows{0, 1, p.B} : assign_rows(p, member, members);
}

}  // namespace regen::REGEN_ISA
