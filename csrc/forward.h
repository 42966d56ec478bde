// Forward pass: a cell unfolded over the steps of every row.
#pragma once

#include "preactivations.h"

namespace regen::REGEN_ISA {

// What the forward pass leaves for the backward pass: contexts (B, T, Hp), then gates (B, T, Hp / W, A, W), which are
// left out when the backward pass recomputes them and when the only gate equals the output.
template <class Cell>
struct Saved {
    const Problem& p;
    const long Hp = blocks(p.H) * W;
    const bool same = output_is_gate(p), recompute = p.low && !same, gates = !p.low && !same;
    float* c(long b, long t) const { return p.saved + (b * p.T + t) * Hp; }
    float* act(long b, long t) const {
        return p.saved + (Cell::context ? p.B * p.T * Hp : 0) + (b * p.T + t) * Hp * Cell::A;
    }
    static bool output_is_gate(const Problem& p) { return Cell::output_is_gate && !Zoneout(p, 1).any; }
    static long floats(const Problem& p) {
        return p.B * p.T * blocks(p.H) * W * ((Cell::context ? 1 : 0) + (p.low || output_is_gate(p) ? 0 : Cell::A));
    }
};

// Pointers of every active row at one step: entry i belongs to the i-th active row.
struct StepRows {
    std::vector<long> b, t;
    std::vector<const float*> x, h_in, h_prev, c_prev;
    std::vector<float*> h, c, act, h_in_next;
    explicit StepRows(long n)
        : b(n), t(n), x(n), h_in(n), h_prev(n), c_prev(n), h(n), c(n), act(n), h_in_next(n) {}
};

template <class Cell>
class Forward {
public:
    explicit Forward(const Problem& p)
        : p(p), plan(p), how(choose_split(p, plan, Cell::G * p.H)), preactivations(p), zoneout(p, Cell::context ? 2 : 1), saved{p},
          zeros(Hp), contexts(Cell::context ? p.B * Hp : 0), masked_h(masked ? 2 * p.B * Hp : 0),
          rows_at(how.threads, StepRows(p.B)) {
        std::fill_n(static_cast<float*>(zeros), Hp, 0.0f);
    }

    void run() {
        run_on_threads(how.threads, [this](int member, ThreadTeam& team) {
            preactivations.pack(Share(preactivations.panels(), member, team.size));
            work(member, team);
        });
    }

    // For repeated calls with the same weights: pack once, then run in the calling thread, without allocating, on what the
    // problem points to at that time.
    void pack() { preactivations.pack(Share(0, preactivations.panels())); }
    void run_packed() {
        ThreadTeam alone(1);
        work(0, alone);
    }

private:
    const Problem& p;
    const Plan plan;
    const Split how;
    Preactivations<Cell> preactivations;
    const Zoneout zoneout;
    const Saved<Cell> saved;
    const long Hp = blocks(p.H) * W;
    const bool masked = Cell::dense && p.keep;
    const bool keep_gates = p.saved && saved.gates;
    const long next = p.reverse ? -1 : 1;    // from a step to the following one, in memory
    ScratchFloats zeros, contexts, masked_h;   // (Hp,), (B, Hp) at first, (2, B, Hp) masked outputs of the last two steps
    std::vector<StepRows> rows_at;     // of each member

    void work(int member, ThreadTeam& team) {
        const Rows mine = rows_of(p, how, member, team.size), ends = assign_rows(p, member, team.size);
        const Share panels(preactivations.panels(), how.by_units ? member : 0, how.by_units ? team.size : 1);
        for (long i = 0; i < ends.own; ++i) start(ends[i]);
        team.barrier();
        StepRows& at = rows_at[member];
        for (long s = 0; s < plan.steps; ++s) {
            const long n = mine.count(plan.active[s]);
            for (long i = 0; i < n; ++i) place(at, i, mine[i], s);
            for (long panel = panels.first; panel < panels.last; ++panel) step(at, n, panel);
            if (how.by_units) team.barrier();
        }
        for (long i = 0; i < ends.own; ++i) finish(ends[i]);
    }

    // Copy the states before the first step.
    void start(long i) {
        const long b = plan.row[i];
        if constexpr (Cell::context) copy(contexts + i * Hp, p.state[1], b);
        if (masked) {
            float* h = masked_h + i * Hp;
            copy(h, p.state[0], b);
            for (long u = 0; u < p.H; ++u) h[u] *= p.keep[b * p.H + u];
        }
    }
    void copy(float* to, const float* state, long b) const {
        std::fill_n(to, Hp, 0.0f);
        if (state) std::copy_n(state + b * p.H, p.H, to);
    }

    void place(StepRows& at, long n, long i, long s) const {
        const long b = plan.row[i], t = plan.time(p, i, s), t_prev = p.reverse ? t + 1 : t - 1;
        at.b[n] = b;
        at.t[n] = t;
        at.x[n] = p.x + b * p.x_stride_b + t * p.x_stride_t;
        at.h[n] = p.out + (b * p.T + t) * p.H;
        at.h_prev[n] = s ? p.out + (b * p.T + t_prev) * p.H : p.state[0] ? p.state[0] + b * p.H : zeros;
        at.h_in[n] = masked ? masked_h + (s % 2 * p.B + i) * Hp : at.h_prev[n];
        at.h_in_next[n] = masked ? masked_h + ((s + 1) % 2 * p.B + i) * Hp : nullptr;
        if constexpr (Cell::context) {
            at.c_prev[n] = s && p.saved ? saved.c(b, t_prev) : contexts + i * Hp;
            at.c[n] = p.saved ? saved.c(b, t) : contexts + i * Hp;
        }
        at.act[n] = keep_gates ? saved.act(b, t) : nullptr;
    }

    void step(const StepRows& at, long n, long panel) const {
        alignas(64) float zx[scratch_floats], zh[Cell::separate_terms ? scratch_floats : 1];
        const int units = preactivations.wx.width(panel) / Cell::G, stride = preactivations.wx.width(panel) * W;
        by_tiles(n, preactivations.wx.width(panel), [&](long first, int R) {
            preactivations(panel, R, &at.x[first], &at.h_in[first], zx, zh);
            for (int r = 0; r < R; ++r)
                for (int q = 0; q < units; ++q)
                    activate(at, first + r, panel * preactivations.units + q, zx + r * stride + q * Cell::G * W,
                             zh + (Cell::separate_terms ? r * stride + q * Cell::G * W : 0));
        });
    }

    // One row and W units: from the preactivations to the new states.
    void activate(const StepRows& at, long i, long block, const float* zx, const float* zh) const {
        constexpr int G = Cell::G;
        const long unit = block * W, n = p.H - unit;
        vec x[G], u[G], extra[Cell::E + 1], act[Cell::A], c{}, h, h_prev{}, c_prev{};
        for (int g = 0; g < G; ++g) x[g] = load(zx + g * W);
        if constexpr (Cell::separate_terms)
            for (int g = 0; g < G; ++g) u[g] = load(zh + g * W);
        for (int e = 0; e < Cell::E; ++e) extra[e] = load(preactivations.extra + (block * Cell::E + e) * W);
        if (Cell::reads_h_prev || zoneout.any) h_prev = load_first(at.h_prev[i] + unit, n);
        if constexpr (Cell::context) c_prev = load(at.c_prev[i] + unit);
        const vec keep = p.keep ? load_first(p.keep + at.b[i] * p.H + unit, n) : splat(1);
        Cell::forward(x, u, Cell::dense ? h_prev : h_prev * keep, c_prev, extra, act, h, c);
        if (zoneout.any) {
            const vec z = zoneout(0, at.b[i], at.t[i], unit, n);
            h = z * h_prev + (1.0f - z) * h;
            if constexpr (Cell::context) {
                const vec y = zoneout(1, at.b[i], at.t[i], unit, n);
                c = y * c_prev + (1.0f - y) * c;
            }
        }
        store_first(at.h[i] + unit, h, n);
        if constexpr (Cell::G == 1) prefetch(at.h[i] + unit + next * p.H);   // other cells compute long enough
        if constexpr (Cell::context) store(at.c[i] + unit, c);
        if (at.act[i])
            for (int a = 0; a < Cell::A; ++a) store(at.act[i] + (block * Cell::A + a) * W, act[a]);
        if (masked) store_first(at.h_in_next[i] + unit, h * keep, n);
        if (p.gates[0]) {
            const long to = (at.b[i] * p.T + at.t[i]) * p.H + unit;
            for (int g = 0; g < G; ++g) store_first(p.gates[g] + to, act[g], n);
            if constexpr (Cell::context) store_first(p.gates[G] + to, c, n);
        }
    }

    // Write the last states, and zeros past the end of the row.
    void finish(long i) const {
        const long b = plan.row[i], length = plan.length[i], t = plan.time(p, i, length - 1);
        const float* h = length ? p.out + (b * p.T + t) * p.H : p.state[0] ? p.state[0] + b * p.H : zeros;
        if (p.last[0]) std::copy_n(h, p.H, p.last[0] + b * p.H);
        if constexpr (Cell::context) {
            const float* c = length && p.saved ? saved.c(b, t) : contexts + i * Hp;
            if (p.last[1]) std::copy_n(c, p.H, p.last[1] + b * p.H);
        }
        const long from = (b * p.T + length) * p.H, padding = (p.T - length) * p.H;
        std::fill_n(p.out + from, padding, 0.0f);
        if (p.gates[0])
            for (int g = 0; g < Cell::G + (Cell::context ? 1 : 0); ++g) std::fill_n(p.gates[g] + from, padding, 0.0f);
    }
};

}  // namespace regen::REGEN_ISA
