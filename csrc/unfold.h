// Forward through time: a cell unfolded over the steps of every row.
#pragma once

#include "sums.h"

namespace regen::REGEN_ISA {

// What the forward pass leaves for the backward pass: contexts (B, T, Hp), then gates (B, T, Hp / W, A, W), which are
// left out when they are computed again and when the output tells them.
template <class Cell>
struct Saved {
    const Problem& p;
    const long Hp = blocks(p.H) * W;
    const bool told = is_told(p), again = p.low && !told, gates = !p.low && !told;
    float* c(long b, long t) const { return p.saved + (b * p.T + t) * Hp; }
    float* act(long b, long t) const {
        return p.saved + (Cell::context ? p.B * p.T * Hp : 0) + (b * p.T + t) * Hp * Cell::A;
    }
    static bool is_told(const Problem& p) { return Cell::told && !Zones(p, 1).any; }
    static long floats(const Problem& p) {
        return p.B * p.T * blocks(p.H) * W * ((Cell::context ? 1 : 0) + (p.low || is_told(p) ? 0 : Cell::A));
    }
};

// Rows at one step: where each of them reads and writes. Pointers to whole rows; the i-th entry is the i-th row at work.
struct Places {
    std::vector<long> b, t;
    std::vector<const float*> x, heard, h_past, c_past;
    std::vector<float*> h, c, act, heard_next;
    explicit Places(long n)
        : b(n), t(n), x(n), heard(n), h_past(n), c_past(n), h(n), c(n), act(n), heard_next(n) {}
};

template <class Cell>
class Forward {
public:
    explicit Forward(const Problem& p)
        : p(p), plan(p), how(split(p, plan, Cell::G * p.H)), sums(p), zones(p, Cell::context ? 2 : 1), saved{p},
          zeros(Hp), contexts(Cell::context ? p.B * Hp : 0), heard(masked ? 2 * p.B * Hp : 0),
          places(how.threads, Places(p.B)) {
        std::fill_n(static_cast<float*>(zeros), Hp, 0.0f);
    }

    void run() {
        together(how.threads, [this](int member, Team& team) {
            sums.pack(Share(sums.panels(), member, team.size));
            work(member, team);
        });
    }

    // For the same weights many times: pack once, then run alone, without allocating, on what the problem points to now.
    void pack() { sums.pack(Share(0, sums.panels())); }
    void again() {
        Team alone(1);
        work(0, alone);
    }

private:
    const Problem& p;
    const Plan plan;
    const Split how;
    Sums<Cell> sums;
    const Zones zones;
    const Saved<Cell> saved;
    const long Hp = blocks(p.H) * W;
    const bool masked = Cell::dense && p.keep;
    const bool keep_gates = p.saved && saved.gates;
    const long next = p.reverse ? -1 : 1;    // from a step to the one after it, in memory
    Floats zeros, contexts, heard;   // (Hp,), (B, Hp) at the start, (2, B, Hp) masked outputs of the last two steps
    std::vector<Places> places;      // each member's

    void work(int member, Team& team) {
        const Rows mine = rows_of(p, how, member, team.size), ends = dealt(p, member, team.size);
        const Share panels(sums.panels(), how.units ? member : 0, how.units ? team.size : 1);
        for (long i = 0; i < ends.own; ++i) start(ends[i]);
        team.meet();
        Places& at = places[member];
        for (long s = 0; s < plan.steps; ++s) {
            const long n = mine.count(plan.active[s]);
            for (long i = 0; i < n; ++i) place(at, i, mine[i], s);
            for (long panel = panels.first; panel < panels.last; ++panel) step(at, n, panel);
            if (how.units) team.meet();
        }
        for (long i = 0; i < ends.own; ++i) finish(ends[i]);
    }

    // The states before the first step.
    void start(long i) {
        const long b = plan.row[i];
        if constexpr (Cell::context) copy(contexts + i * Hp, p.state[1], b);
        if (masked) {
            float* h = heard + i * Hp;
            copy(h, p.state[0], b);
            for (long u = 0; u < p.H; ++u) h[u] *= p.keep[b * p.H + u];
        }
    }
    void copy(float* to, const float* state, long b) const {
        std::fill_n(to, Hp, 0.0f);
        if (state) std::copy_n(state + b * p.H, p.H, to);
    }

    void place(Places& at, long n, long i, long s) const {
        const long b = plan.row[i], t = plan.time(p, i, s), past = p.reverse ? t + 1 : t - 1;
        at.b[n] = b;
        at.t[n] = t;
        at.x[n] = p.x + b * p.x_stride_b + t * p.x_stride_t;
        at.h[n] = p.out + (b * p.T + t) * p.H;
        at.h_past[n] = s ? p.out + (b * p.T + past) * p.H : p.state[0] ? p.state[0] + b * p.H : zeros;
        at.heard[n] = masked ? heard + (s % 2 * p.B + i) * Hp : at.h_past[n];
        at.heard_next[n] = masked ? heard + ((s + 1) % 2 * p.B + i) * Hp : nullptr;
        if constexpr (Cell::context) {
            at.c_past[n] = s && p.saved ? saved.c(b, past) : contexts + i * Hp;
            at.c[n] = p.saved ? saved.c(b, t) : contexts + i * Hp;
        }
        at.act[n] = keep_gates ? saved.act(b, t) : nullptr;
    }

    void step(const Places& at, long n, long panel) const {
        alignas(64) float zx[scratch_floats], zh[Cell::apart ? scratch_floats : 1];
        const int units = sums.wx.width(panel) / Cell::G, stride = sums.wx.width(panel) * W;
        by_tiles(n, sums.wx.width(panel), [&](long first, int R) {
            sums(panel, R, &at.x[first], &at.heard[first], zx, zh);
            for (int r = 0; r < R; ++r)
                for (int q = 0; q < units; ++q)
                    activate(at, first + r, panel * sums.units + q, zx + r * stride + q * Cell::G * W,
                             zh + (Cell::apart ? r * stride + q * Cell::G * W : 0));
        });
    }

    // One row and W units: from the sums to the new states.
    void activate(const Places& at, long i, long block, const float* zx, const float* zh) const {
        constexpr int G = Cell::G;
        const long unit = block * W, n = p.H - unit;
        vec x[G], u[G], extra[Cell::E + 1], act[Cell::A], c{}, h, h_past{}, c_past{};
        for (int g = 0; g < G; ++g) x[g] = load(zx + g * W);
        if constexpr (Cell::apart)
            for (int g = 0; g < G; ++g) u[g] = load(zh + g * W);
        for (int e = 0; e < Cell::E; ++e) extra[e] = load(sums.extra + (block * Cell::E + e) * W);
        if (Cell::past || zones.any) h_past = take(at.h_past[i] + unit, n);
        if constexpr (Cell::context) c_past = load(at.c_past[i] + unit);
        const vec keep = p.keep ? take(p.keep + at.b[i] * p.H + unit, n) : splat(1);
        Cell::forward(x, u, Cell::dense ? h_past : h_past * keep, c_past, extra, act, h, c);
        if (zones.any) {
            const vec z = zones(0, at.b[i], at.t[i], unit, n);
            h = z * h_past + (1.0f - z) * h;
            if constexpr (Cell::context) {
                const vec y = zones(1, at.b[i], at.t[i], unit, n);
                c = y * c_past + (1.0f - y) * c;
            }
        }
        put(at.h[i] + unit, h, n);
        if constexpr (Cell::G == 1) soon(at.h[i] + unit + next * p.H);   // with more gates there is time enough
        if constexpr (Cell::context) store(at.c[i] + unit, c);
        if (at.act[i])
            for (int a = 0; a < Cell::A; ++a) store(at.act[i] + (block * Cell::A + a) * W, act[a]);
        if (masked) put(at.heard_next[i] + unit, h * keep, n);
        if (p.gates[0]) {
            const long to = (at.b[i] * p.T + at.t[i]) * p.H + unit;
            for (int g = 0; g < G; ++g) put(p.gates[g] + to, act[g], n);
            if constexpr (Cell::context) put(p.gates[G] + to, c, n);
        }
    }

    // The last states, and zeros past the end.
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
