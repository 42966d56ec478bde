// Cells with two products in a step, unfolded over time. A first map hears the input and the past; what comes of it,
// the middle, is heard by a second map, and that gives the output:
//     act = activate(W1 x_t + U1 heard + b1),   m = middle(act, heard)                 H units
//     o_t = output(W2 x_t + U2 m + b2, o_{t-1}, act)                                   P units
// Threads that share the rows never wait; those who share the units wait twice in a step.
//
// A cell has G gates in its first map, and keeps A values for the way back, those of the first map first. Of the first
// map's derivatives those from `early` on are known from the output already. It is `alike` when unit k of one map
// belongs to unit k of the other: then H = P, and the two may look at each other's values.
#pragma once

#include "affine.h"
#include "unfold.h"

namespace regen::REGEN_ISA {

template <class Cell>
concept TwoProducts = requires { Cell::alike; };

// What the forward pass leaves for the backward pass: gates (B, T, Hp / W, A, W), and nothing when memory is low.
template <TwoProducts Cell>
struct Saved<Cell> {
    const Problem& p;
    const long row = blocks(p.H) * W * Cell::A;
    float* act(long b, long t) const { return p.saved + (b * p.T + t) * row; }
    static long floats(const Problem& p) { return p.low ? 0 : p.B * p.T * blocks(p.H) * W * Cell::A; }
};

// Rows at one step, or pairs of row and step. Pointers to whole rows; the i-th entry is the i-th at work.
struct Sites {
    std::vector<long> b, t;
    std::vector<const float*> x, heard, past, m;   // m: what of the middle the second map reads; m_new: the same memory
    std::vector<float*> act, m_new;
    explicit Sites(long n) : b(n), t(n), x(n), heard(n), past(n), m(n), act(n), m_new(n) {}
    void middle(long i, float* row) { m[i] = m_new[i] = row; }
};

// What both directions share: the two maps, and the states before the first step.
template <TwoProducts Cell>
class Unfolded {
protected:
    static constexpr int G = Cell::G, A = Cell::A;
    const Problem& p;
    const Plan plan;
    const Affine to_first = Cell::first(p), to_second = Cell::second(p);
    const Split how;
    AffineAhead first{to_first}, second{to_second};
    const Zones zones{p, 1};
    const Saved<Cell> saved{p};
    const long Hp = blocks(p.H) * W, Pp = blocks(p.P) * W;
    Floats zeros{p.P};

    Unfolded(const Problem& p, int passes) : p(p), plan(p), how(split(p, plan, passes * columns(), 2)) {
        std::fill_n(static_cast<float*>(zeros), p.P, 0.0f);
    }

    // Both maps' weights, as columns of one that hears I + H.
    long columns() const {
        long weights = 0;
        for (const Affine& f : {to_first, to_second}) weights += f.G * f.N * (f.X + f.K);
        return weights / (p.I + p.H);
    }

    Rows rows(int member, const Team& team) const { return rows_of(p, how, member, team.size); }
    Share units(long panels, int member, const Team& team) const {
        return how.units ? Share(panels, member, team.size) : Share(0, panels);
    }

    void pack(int member, int members) {
        first.pack(member, members);
        second.pack(member, members);
    }
    const float* before(long i) const { return p.state[0] ? p.state[0] + plan.row[i] * p.P : zeros; }
    const float* past(long i, long s) const {
        return s ? p.out + (plan.row[i] * p.T + plan.time(p, i, s - 1)) * p.P : before(i);
    }
    vec keep(long b, long unit) const { return p.keep ? take(p.keep + b * p.P + unit, p.P - unit) : splat(1); }

    // W values of unit `unit` on, and 0 past P; all 0 where the cell's maps are not alike.
    vec alike(const float* row, long unit) const { return Cell::alike ? take(row + unit, p.P - unit) : vec{}; }

    // One panel of the first map for n sites: gates and middle.
    void to_middle(const Sites& at, long n, long panel) const {
        alignas(64) float sums[scratch_floats];
        const int width = first.width(panel);
        by_tiles(n, width, [&](long top, int R) {
            first(panel, R, &at.x[top], &at.heard[top], sums);
            for (int r = 0; r < R; ++r)
                for (int q = 0; q < width; q += G) {
                    const long i = top + r, block = first.first_block(panel) + q / G, unit = block * W;
                    vec z[G], act[A];
                    for (int g = 0; g < G; ++g) z[g] = load(sums + (r * width + q + g) * W);
                    Cell::activate(z, act);
                    for (int g = 0; g < G; ++g) tell(at, i, block, g, act[g]);
                    store(at.m_new[i] + unit, Cell::middle(act, alike(at.heard[i], unit)));
                }
        });
    }

    // One panel of the second map for n sites: its gates, and each(i, unit, past, output) for W units at a time.
    template <class Each>
    void to_output(const Sites& at, long n, long panel, Each each) const {
        alignas(64) float sums[scratch_floats];
        const int width = second.width(panel);
        by_tiles(n, width, [&](long top, int R) {
            second(panel, R, &at.x[top], &at.m[top], sums);
            for (int r = 0; r < R; ++r)
                for (int q = 0; q < width; ++q) {
                    const long i = top + r, block = second.first_block(panel) + q, unit = block * W;
                    vec act[A], past{};
                    if (Cell::alike) kept(at, i, block, act);
                    if (Cell::alike || zones.any) past = take(at.past[i] + unit, p.P - unit);
                    const vec o = Cell::output(load(sums + (r * width + q) * W), past, act);
                    for (int a = G; a < A; ++a) tell(at, i, block, a, act[a]);
                    each(i, unit, past, o);
                }
        });
    }

    // Keep one gate for W units, and give it to who asked for it.
    void tell(const Sites& at, long i, long block, int a, vec value) const {
        store(at.act[i] + (block * A + a) * W, value);
        if (p.gates[a]) put(p.gates[a] + (at.b[i] * p.T + at.t[i]) * p.H + block * W, value, p.H - block * W);
    }
    static void kept(const Sites& at, long i, long block, vec* act) {
        for (int a = 0; a < A; ++a) act[a] = load(at.act[i] + (block * A + a) * W);
    }
};

template <TwoProducts Cell>
class Forward<Cell> : Unfolded<Cell> {
    using Base = Unfolded<Cell>;
    using Base::p, Base::plan, Base::how, Base::first, Base::second, Base::zones, Base::saved, Base::Hp, Base::Pp;

public:
    explicit Forward(const Problem& problem) : Base(problem, 1) {}

    void run() {
        together(how.threads, [this](int member, Team& team) {
            Base::pack(member, team.size);
            work(member, team);
        });
    }

    // For the same weights many times: pack once, then run alone, without allocating, on what the problem points to
    // now.
    void pack() { Base::pack(0, 1); }
    void again() {
        Team alone(1);
        work(0, alone);
    }

private:
    const bool keep_gates = p.saved && !p.low;
    Floats acts{keep_gates ? 0 : p.B * Hp * Cell::A};    // (B, Hp / W, A, W) of this step
    Floats middles{p.B * Hp};                            // (B, Hp) of this step
    Floats heard{p.keep ? 2 * p.B * Pp : 0};             // (2, B, Pp) masked outputs of the last two steps
    std::vector<Sites> places{std::vector<Sites>(how.threads, Sites(p.B))};   // each member's

    void work(int member, Team& team) {
        const Rows mine = Base::rows(member, team), ends = dealt(p, member, team.size);
        const Share firsts = Base::units(first.panels(), member, team);
        const Share seconds = Base::units(second.panels(), member, team);
        if (p.keep)
            for (long i = 0; i < ends.own; ++i) mask(ends[i]);
        team.meet();
        Sites& at = places[member];
        for (long s = 0; s < plan.steps; ++s) {
            const long n = mine.count(plan.active[s]);
            for (long i = 0; i < n; ++i) place(at, i, mine[i], s);
            for (long panel = firsts.first; panel < firsts.last; ++panel) Base::to_middle(at, n, panel);
            if (how.units) team.meet();
            for (long panel = seconds.first; panel < seconds.last; ++panel)
                Base::to_output(at, n, panel, [&](long i, long unit, vec past, vec o) {
                    finish_step(at, i, mine[i], s, unit, past, o);
                });
            if (how.units) team.meet();
        }
        for (long i = 0; i < ends.own; ++i) finish(ends[i]);
    }

    float* heard_at(long i, long s) const { return heard + (s % 2 * p.B + i) * Pp; }

    // What is heard at the first step.
    void mask(long i) const {
        const float* state = Base::before(i);
        for (long k = 0; k < p.P; ++k) heard_at(i, 0)[k] = state[k] * p.keep[plan.row[i] * p.P + k];
    }

    void place(Sites& at, long n, long i, long s) const {
        const long b = at.b[n] = plan.row[i], t = at.t[n] = plan.time(p, i, s);
        at.x[n] = p.x + b * p.x_stride_b + t * p.x_stride_t;
        at.past[n] = Base::past(i, s);
        at.heard[n] = p.keep ? heard_at(i, s) : at.past[n];
        at.act[n] = keep_gates ? saved.act(b, t) : acts + i * Hp * Cell::A;
        at.middle(n, middles + i * Hp);
    }

    // W units' new output, which row i hears at the next step.
    void finish_step(const Sites& at, long site, long i, long s, long unit, vec past, vec o) const {
        const long b = at.b[site], t = at.t[site], n = p.P - unit;
        if (zones.any) {
            const vec z = zones(0, b, t, unit, n);
            o = z * past + (1.0f - z) * o;
        }
        put(p.out + (b * p.T + t) * p.P + unit, o, n);
        if (p.keep) put(heard_at(i, s + 1) + unit, o * Base::keep(b, unit), n);
    }

    // The last state, and zeros past the end.
    void finish(long i) const {
        const long b = plan.row[i], length = plan.length[i], from = b * p.T + length, padding = p.T - length;
        if (p.last[0]) std::copy_n(Base::past(i, length), p.P, p.last[0] + b * p.P);
        std::fill_n(p.out + from * p.P, padding * p.P, 0.0f);
        for (int a = 0; a < Cell::A; ++a)
            if (p.gates[a]) std::fill_n(p.gates[a] + from * p.H, padding * p.H, 0.0f);
    }
};

}  // namespace regen::REGEN_ISA
