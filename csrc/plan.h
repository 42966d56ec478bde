// Which rows are at work at which step, and who does what.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <vector>

#include "pack.h"
#include "problem.h"
#include "shelf.h"
#include "team.h"

namespace regen::REGEN_ISA {

// Floats on a cache line of their own; scratch, not initialised. What is given back waits for the next call of the same
// thread (see shelf.h), for memory fresh from the system costs as much as a small net.
class Floats {
public:
    explicit Floats(long n) : block(take_block((n * 4 + 127) / 64 * 64)) {}
    ~Floats() { give_block(block); }
    Floats(const Floats&) = delete;
    operator float*() const { return static_cast<float*>(block.data); }

private:
    Block block;
};

// Rows in order of falling length: those at work at a step are the first ones.
struct Plan {
    std::vector<long> row, length;   // (B,) each, in that order
    std::vector<long> active;        // (steps,) how many rows are at work
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
    // Where step s of the i-th row lies in its sequence.
    long time(const Problem& p, long i, long s) const { return p.reverse ? length[i] - 1 - s : s; }
};

// Threads worth their price, and whether they share the rows or the units.
struct Split {
    int threads;
    bool units;
};

constexpr double worth = 4e6;        // multiply-adds that a further thread must have to do
constexpr double worth_meeting = 6e4;  // the same, for every time that threads wait for each other in a step
// Weights that outgrow the cache of one core are read from afar at every step: with few rows to a thread that costs more
// than meeting, and each reads its own part of them only, where they share the units.
constexpr double outgrown = 1 << 19;
constexpr long few = 32;

// columns: of the weights of one step. meetings: how often in a step those who share units wait for each other.
inline Split split(const Problem& p, const Plan& plan, long columns, int meetings = 1) {
    const double one = static_cast<double>(columns) * (p.I + p.H), all = one * plan.work;
    const long most = std::max<long>(1, std::min<long>(p.threads, static_cast<long>(all / worth)));
    const bool by_rows = p.B >= (one < outgrown ? 2 : few) * most;
    if (by_rows || most == 1) return {static_cast<int>(std::min(most, std::max(1L, p.B))), false};
    if (one * p.B >= worth_meeting * meetings * most) return {static_cast<int>(most), true};
    return {static_cast<int>(std::min(most, p.B)), false};
}

// The part of n things that falls to one member.
struct Share {
    long first, last;
    Share(long first, long last) : first(first), last(last) {}
    Share(long n, int member, int members) : first(n * member / members), last(n * (member + 1) / members) {}
};

// Rows of one member, as places in the plan: every `apart`-th from `first` on, `own` of them.
struct Rows {
    long first, apart, own;
    long operator[](long i) const { return first + i * apart; }
    long count(long active) const { return std::clamp((active - first + apart - 1) / apart, 0L, own); }
};

// Every row falls to one member. Neighbours stay together, so that members do not write beside each other; rows of
// different lengths are dealt out, so that everyone gets long ones and short ones.
inline Rows dealt(const Problem& p, int member, int members) {
    if (p.lengths) return {member, members, (p.B - member + members - 1) / members};
    const Share share(p.B, member, members);
    return {share.first, 1, share.last - share.first};
}
// The rows that a member steps through: all of them when the units are shared.
inline Rows rows_of(const Problem& p, Split how, int member, int members) {
    return how.units ? Rows{0, 1, p.B} : dealt(p, member, members);
}

}  // namespace regen::REGEN_ISA
