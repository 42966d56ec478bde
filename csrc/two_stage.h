// Cells with two matrix products in a step, unfolded over time. The first map takes the input and the recurrent input h_in
// (o_{t-1}, masked by recurrent dropout); the second map takes m, the result of the first, and gives the output:
//     act = activate(W1 x_t + U1 h_in + b1),    m = middle(act, h_in)                  H units
//     o_t = output(W2 x_t + U2 m + b2, o_{t-1}, act)                                   P units
// Threads that share the rows never wait; those that share the units wait twice in a step.
//
// A cell has G gates in its first map and keeps A values for the backward pass, those of the first map first. The
// derivatives of the first `middle_gates` gates come through m, those of the others from the output. With `same_units`, unit k
// of one map corresponds to unit k of the other: then H = P, and each may use the values of the other.
#pragma once

#include "affine.h"
#include "forward.h"

namespace regen::REGEN_ISA {

template <class Cell>
concept TwoStage = requires { Cell::same_units; };

// What the forward pass leaves for the backward pass: gates (B, T, Hp / W, A, W), and nothing when memory is low.
template <TwoStage Cell>
struct Saved<Cell> {
    const Problem& p;
    const long row = blocks(p.H) * W * Cell::A;
    float* act(long b, long t) const { return p.saved + (b * p.T + t) * row; }
    static long floats(const Problem& p) { return p.low ? 0 : p.B * p.T * blocks(p.H) * W * Cell::A; }
};

// Pointers of rows at one step, or of pairs of row and step: entry i belongs to the i-th.
struct StageRows {
    std::vector<long> b, t;
    std::vector<const float*> x, h_in, o_prev, m;   // m: for the second map to read; m_new: the same memory, to write
    std::vector<float*> act, m_new;
    explicit StageRows(long n) : b(n), t(n), x(n), h_in(n), o_prev(n), m(n), act(n), m_new(n) {}
    void middle(long i, float* row) { m[i] = m_new[i] = row; }
};

// What both passes share: the two maps, and the states before the first step.
template <TwoStage Cell>
class TwoStageCell {
protected:
    static constexpr int G = Cell::G, A = Cell::A;
    const Problem& p;
    const Plan plan;
    const Affine to_first = Cell::first(p), to_second = Cell::second(p);
    const Split how;
    AffineForward first{to_first}, second{to_second};
    const Zoneout zoneout{p, 1};
    const Saved<Cell> saved{p};
    const long Hp = blocks(p.H) * W, Pp = blocks(p.P) * W;
    ScratchFloats zeros{p.P};

    TwoStageCell(const Problem& p, int passes) : p(p), plan(p), how(choose_split(p, plan, passes * columns(), 2)) {
        std::fill_n(static_cast<float*>(zeros), p.P, 0.0f);
    }

    // Weights of both maps, in columns of a map of I + H inputs.
    long columns() const {
        long weights = 0;
        for (const Affine& f : {to_first, to_second}) weights += f.G * f.N * (f.X + f.K);
        return weights / (p.I + p.H);
    }

    Rows rows(int member, const ThreadTeam& team) const { return rows_of(p, how, member, team.size); }
    Share units(long panels, int member, const ThreadTeam& team) const {
        return how.by_units ? Share(panels, member, team.size) : Share(0, panels);
    }

    void pack(int member, int members) {
        first.pack(member, members);
        second.pack(member, members);
    }
    const float* first_state(long i) const { return p.state[0] ? p.state[0] + plan.row[i] * p.P : zeros; }
    const float* o_prev(long i, long s) const {
        return s ? p.out + (plan.row[i] * p.T + plan.time(p, i, s - 1)) * p.P : first_state(i);
    }
    vec keep(long b, long unit) const { return p.keep ? load_first(p.keep + b * p.P + unit, p.P - unit) : splat(1); }

    // W values from `unit` on, 0 past P; all 0 without `same_units`.
    vec matching_units(const float* row, long unit) const { return Cell::same_units ? load_first(row + unit, p.P - unit) : vec{}; }

    // One panel of the first map for n rows: gates and m.
    void to_middle(const StageRows& at, long n, long panel) const {
        alignas(64) float z_rows[scratch_floats];
        const int width = first.width(panel);
        by_tiles(n, width, [&](long top, int R) {
            first(panel, R, &at.x[top], &at.h_in[top], z_rows);
            for (int r = 0; r < R; ++r)
                for (int q = 0; q < width; q += G) {
                    const long i = top + r, block = first.first_block(panel) + q / G, unit = block * W;
                    vec z[G], act[A];
                    for (int g = 0; g < G; ++g) z[g] = load(z_rows + (r * width + q + g) * W);
                    Cell::activate(z, act);
                    for (int g = 0; g < G; ++g) store_gate(at, i, block, g, act[g]);
                    store(at.m_new[i] + unit, Cell::middle(act, matching_units(at.h_in[i], unit)));
                }
        });
    }

    // One panel of the second map for n rows: its gates, and each(i, unit, o_prev, output) for W units at a time.
    template <class Each>
    void to_output(const StageRows& at, long n, long panel, Each each) const {
        alignas(64) float z_rows[scratch_floats];
        const int width = second.width(panel);
        by_tiles(n, width, [&](long top, int R) {
            second(panel, R, &at.x[top], &at.m[top], z_rows);
            for (int r = 0; r < R; ++r)
                for (int q = 0; q < width; ++q) {
                    const long i = top + r, block = second.first_block(panel) + q, unit = block * W;
                    vec act[A], o_prev{};
                    if (Cell::same_units) load_gates(at, i, block, act);
                    if (Cell::same_units || zoneout.any) o_prev = load_first(at.o_prev[i] + unit, p.P - unit);
                    const vec o = Cell::output(load(z_rows + (r * width + q) * W), o_prev, act);
                    for (int a = G; a < A; ++a) store_gate(at, i, block, a, act[a]);
                    each(i, unit, o_prev, o);
                }
        });
    }

    // Save one gate of W units, and write it to the requested gates.
    void store_gate(const StageRows& at, long i, long block, int a, vec value) const {
        store(at.act[i] + (block * A + a) * W, value);
        if (p.gates[a]) store_first(p.gates[a] + (at.b[i] * p.T + at.t[i]) * p.H + block * W, value, p.H - block * W);
    }
    static void load_gates(const StageRows& at, long i, long block, vec* act) {
        for (int a = 0; a < A; ++a) act[a] = load(at.act[i] + (block * A + a) * W);
    }
};

template <TwoStage Cell>
class Forward<Cell> : TwoStageCell<Cell> {
    using Base = TwoStageCell<Cell>;
    using Base::p, Base::plan, Base::how, Base::first, Base::second, Base::zoneout, Base::saved, Base::Hp, Base::Pp;

public:
    explicit Forward(const Problem& problem) : Base(problem, 1) {}

    void run() {
        run_on_threads(how.threads, [this](int member, ThreadTeam& team) {
            Base::pack(member, team.size);
            work(member, team);
        });
    }

    // For repeated calls with the same weights: see the other Forward.
    void pack() { Base::pack(0, 1); }
    void run_packed() {
        ThreadTeam alone(1);
        work(0, alone);
    }

private:
    const bool keep_gates = p.saved && !p.low;
    ScratchFloats acts{keep_gates ? 0 : p.B * Hp * Cell::A};    // (B, Hp / W, A, W) of this step
    ScratchFloats middles{p.B * Hp};                            // (B, Hp) of this step
    ScratchFloats masked_h{p.keep ? 2 * p.B * Pp : 0};          // (2, B, Pp) masked outputs of the last two steps
    std::vector<StageRows> rows_at{std::vector<StageRows>(how.threads, StageRows(p.B))};   // of each member

    void work(int member, ThreadTeam& team) {
        const Rows mine = Base::rows(member, team), ends = assign_rows(p, member, team.size);
        const Share firsts = Base::units(first.panels(), member, team);
        const Share seconds = Base::units(second.panels(), member, team);
        if (p.keep)
            for (long i = 0; i < ends.own; ++i) mask_first_state(ends[i]);
        team.barrier();
        StageRows& at = rows_at[member];
        for (long s = 0; s < plan.steps; ++s) {
            const long n = mine.count(plan.active[s]);
            for (long i = 0; i < n; ++i) place(at, i, mine[i], s);
            for (long panel = firsts.first; panel < firsts.last; ++panel) Base::to_middle(at, n, panel);
            if (how.by_units) team.barrier();
            for (long panel = seconds.first; panel < seconds.last; ++panel)
                Base::to_output(at, n, panel, [&](long i, long unit, vec o_prev, vec o) {
                    finish_step(at, i, mine[i], s, unit, o_prev, o);
                });
            if (how.by_units) team.barrier();
        }
        for (long i = 0; i < ends.own; ++i) finish(ends[i]);
    }

    float* masked_at(long i, long s) const { return masked_h + (s % 2 * p.B + i) * Pp; }

    // The masked state before the first step.
    void mask_first_state(long i) const {
        const float* state = Base::first_state(i);
        for (long k = 0; k < p.P; ++k) masked_at(i, 0)[k] = state[k] * p.keep[plan.row[i] * p.P + k];
    }

    void place(StageRows& at, long n, long i, long s) const {
        const long b = at.b[n] = plan.row[i], t = at.t[n] = plan.time(p, i, s);
        at.x[n] = p.x + b * p.x_stride_b + t * p.x_stride_t;
        at.o_prev[n] = Base::o_prev(i, s);
        at.h_in[n] = p.keep ? masked_at(i, s) : at.o_prev[n];
        at.act[n] = keep_gates ? saved.act(b, t) : acts + i * Hp * Cell::A;
        at.middle(n, middles + i * Hp);
    }

    // Write W units of the output, and their masked copy for the next step.
    void finish_step(const StageRows& at, long site, long i, long s, long unit, vec o_prev, vec o) const {
        const long b = at.b[site], t = at.t[site], n = p.P - unit;
        if (zoneout.any) {
            const vec z = zoneout(0, b, t, unit, n);
            o = z * o_prev + (1.0f - z) * o;
        }
        store_first(p.out + (b * p.T + t) * p.P + unit, o, n);
        if (p.keep) store_first(masked_at(i, s + 1) + unit, o * Base::keep(b, unit), n);
    }

    // Write the last state, and zeros past the end of the row.
    void finish(long i) const {
        const long b = plan.row[i], length = plan.length[i], from = b * p.T + length, padding = p.T - length;
        if (p.last[0]) std::copy_n(Base::o_prev(i, length), p.P, p.last[0] + b * p.P);
        std::fill_n(p.out + from * p.P, padding * p.P, 0.0f);
        for (int a = 0; a < Cell::A; ++a)
            if (p.gates[a]) std::fill_n(p.gates[a] + from * p.H, padding * p.H, 0.0f);
    }
};

}  // namespace regen::REGEN_ISA
