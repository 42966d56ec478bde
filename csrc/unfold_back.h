// Backward through time, in chunks of steps: first what every step did to the cost, from the last to the first; then
// what the weights and the inputs did, as large products over all pairs of row and step in the chunk.
#pragma once

#include "unfold.h"
#include "weights.h"

namespace regen::REGEN_ISA {

template <class Cell>
class Backward {
public:
    explicit Backward(const Problem& p)
        : p(p), plan(p), how(split(p, plan, 2 * Cell::G * p.H)), sums(p), zones(p, Cell::context ? 2 : 1), saved{p},
          back(p), chunk(p, plan, Cell::D + Cell::E), zeros(Hp), contexts(Cell::context ? p.B * Hp : 0), dh(p.B * Hp),
          dc(Cell::context ? p.B * Hp : 0), gradients(p) {
        std::fill_n(static_cast<float*>(zeros), Hp, 0.0f);
    }

    void run() { together(how.threads, [this](int member, Team& team) { work(member, team); }); }

private:
    static constexpr int V = most_vectors;
    const Problem& p;
    const Plan plan;
    const Split how;
    Sums<Cell> sums;
    const Zones zones;
    const Saved<Cell> saved;
    Back<Cell> back;
    Chunk chunk;
    const long Hp = blocks(p.H) * W;
    const bool masked = Cell::dense && p.keep;
    const long next = p.reverse ? 1 : -1;    // from the step at work to the one that comes after it, in memory
    Floats zeros, contexts;   // (Hp,); (B, Hp) before the first step
    Floats dh, dc;            // (B, Hp) what the states did to the cost, carried from step to step
    Gradients<Cell> gradients;

    void work(int member, Team& team) {
        if (saved.again) sums.pack(Share(sums.panels(), member, team.size));
        else sums.pack_extra(Share(sums.unit_blocks, member, team.size));
        back.pack(member, team.size);
        if (!plan.steps) gradients.clear(member, team.size);
        const Rows mine = rows_of(p, how, member, team.size), noted = dealt(p, member, team.size);
        // Panels of the way forward and of the way back must hold the same units for one member.
        const Share parts((sums.unit_blocks + V - 1) / V, how.units ? member : 0, how.units ? team.size : 1);
        for (long i = 0; i < noted.own; ++i) start(noted[i]);
        team.meet();
        Places at(mine.own);
        std::vector<float*> d(at.b.size());
        std::vector<const float*> d_read(at.b.size());
        for (long end = plan.steps; end > 0; end = chunk.first(end)) {
            const long begin = chunk.first(end);
            long pairs = 0;
            for (long s = begin; s < end; ++s) pairs += plan.active[s];
            for (long s = end - 1, base = pairs; s >= begin; --s) {
                base -= plan.active[s];
                const long n = mine.count(plan.active[s]);
                for (long i = 0; i < n; ++i) {
                    place(at, i, mine[i], s);
                    d_read[i] = d[i] = chunk.d(base + mine[i]);
                    at.heard[i] = masked ? chunk.heard(base + mine[i]) : at.h_past[i];
                }
                for (long i = 0; i < noted.count(plan.active[s]); ++i)
                    note(at, how.units ? noted[i] : i, base + noted[i]);
                if (how.units && masked && saved.again) team.meet();
                for (long part = parts.first; part < parts.last; ++part) step(at, d, n, part, mine);
                if (how.units) team.meet();
                if (Cell::dense)
                    for (long part = parts.first; part < parts.last; ++part)
                        carry(d_read, at, n, part, mine);
            }
            team.meet();
            gradients.add(chunk, pairs, end == plan.steps, member, team.size);
            if (p.dx) inputs(Share(pairs, member, team.size));
            team.meet();
        }
        gradients.write(member, team.size);
        for (long i = 0; i < noted.own; ++i) finish(noted[i]);
    }

    void start(long i) {
        const long b = plan.row[i];
        copy(dh + i * Hp, p.dlast[0], b);
        if constexpr (Cell::context) {
            copy(dc + i * Hp, p.dlast[1], b);
            copy(contexts + i * Hp, p.state[1], b);
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
        at.h_past[n] = s ? p.out + (b * p.T + past) * p.H : p.state[0] ? p.state[0] + b * p.H : zeros;
        if constexpr (Cell::context) at.c_past[n] = s ? saved.c(b, past) : contexts + i * Hp;
        at.act[n] = saved.gates ? saved.act(b, t) : p.out + (b * p.T + t) * p.H;
    }

    // Copy what was heard and read at this step beside the other pairs of the chunk.
    void note(const Places& at, long i, long pair) {
        float* heard = chunk.heard(pair);
        if constexpr (Cell::dense) {
            std::copy_n(at.h_past[i], p.H, heard);
            soon(at.h_past[i] + next * p.H, p.H);
            if (masked)
                for (long u = 0; u < p.H; ++u) heard[u] *= p.keep[at.b[i] * p.H + u];
        }
        std::copy_n(at.x[i], p.I, heard + chunk.x_first);
        if (p.dx) chunk.dx[pair] = p.dx + (at.b[i] * p.T + at.t[i]) * p.I;
    }

    // What one step did to the cost, for the units of one part.
    void step(Places& at, const std::vector<float*>& d, long n, long part, Rows mine) {
        const long begin = part * V, end = std::min(begin + V, sums.unit_blocks);
        if (!saved.again) {
            for (long i = 0; i < n; ++i)
                for (long block = begin; block < end; ++block) {
                    vec act[Cell::A];
                    recall(at, i, block, act);
                    derive(at, i, block, act, dh + mine[i] * Hp, dc + mine[i] * Hp, d[i]);
                }
            return;
        }
        alignas(64) float zx[scratch_floats], zh[Cell::apart ? scratch_floats : 1];
        for (long panel = begin / sums.units; panel * sums.units < end; ++panel) {
            const int width = sums.wx.width(panel);
            by_tiles(n, width, [&](long top, int R) {
                sums(panel, R, &at.x[top], &at.heard[top], zx, zh);
                for (int r = 0; r < R; ++r)
                    for (int q = 0; q < width / Cell::G; ++q) {
                        vec act[Cell::A];
                        const long i = top + r, block = panel * sums.units + q, at_z = (r * width + q * Cell::G) * W;
                        again(at, i, block, zx + at_z, zh + (Cell::apart ? at_z : 0), act);
                        derive(at, i, block, act, dh + mine[i] * Hp, dc + mine[i] * Hp, d[i]);
                    }
            });
        }
    }

    // The gates of one row and W units, as they were kept.
    void recall(const Places& at, long i, long block, vec* act) const {
        if (saved.told) {
            act[0] = take(at.act[i] + block * W, p.H - block * W);
            return;
        }
        const float* kept = at.act[i] + block * Cell::A * W;
        for (int a = 0; a < Cell::A; ++a) act[a] = load(kept + a * W);
        soon(kept + next * Hp * Cell::A, Cell::A * W);
    }

    // The same, computed again.
    void again(const Places& at, long i, long block, const float* zx, const float* zh, vec* act) const {
        vec x[Cell::G], u[Cell::G], extra[Cell::E + 1], h, c{}, c_past{};
        for (int g = 0; g < Cell::G; ++g) x[g] = load(zx + g * W);
        if constexpr (Cell::apart)
            for (int g = 0; g < Cell::G; ++g) u[g] = load(zh + g * W);
        for (int e = 0; e < Cell::E; ++e) extra[e] = load(sums.extra + (block * Cell::E + e) * W);
        if constexpr (Cell::context) c_past = load(at.c_past[i] + block * W);
        const long n = p.H - block * W;
        vec h_past = take(at.h_past[i] + block * W, n);
        if (!Cell::dense && p.keep) h_past *= take(p.keep + at.b[i] * p.H + block * W, n);
        Cell::forward(x, u, h_past, c_past, extra, act, h, c);
    }

    void derive(const Places& at, long i, long block, const vec* act, float* dh_row, float* dc_row, float* d_row) {
        const long unit = block * W, n = p.H - unit, b = at.b[i], t = at.t[i];
        vec extra[Cell::E + 1], c_past{}, to_c{}, past, d[Cell::D + Cell::E], h_past{}, kept_h{}, kept_c{};
        for (int e = 0; e < Cell::E; ++e) extra[e] = load(sums.extra + (block * Cell::E + e) * W);
        vec to_h = load(dh_row + unit);
        if (p.dout) {
            const float* from = p.dout + (b * p.T + t) * p.H + unit;
            to_h += take(from, n);
            soon(from + next * p.H);
        }
        if constexpr (Cell::past) h_past = take(at.h_past[i] + unit, n);
        if constexpr (Cell::context) {
            c_past = load(at.c_past[i] + unit), to_c = load(dc_row + unit);
            soon(at.c_past[i] + unit + next * Hp);
        }
        if (zones.any) {
            const vec z = zones(0, b, t, unit, n);
            kept_h = z * to_h;
            to_h *= 1.0f - z;
            if constexpr (Cell::context) {
                const vec y = zones(1, b, t, unit, n);
                kept_c = y * to_c;
                to_c *= 1.0f - y;
            }
        }
        vec keep = splat(1);
        if (!Cell::dense && p.keep) h_past *= keep = take(p.keep + b * p.H + unit, n);
        Cell::backward(act, h_past, c_past, extra, to_h, to_c, d, past);
        store(dh_row + unit, past * keep + kept_h);
        if constexpr (Cell::context) store(dc_row + unit, to_c + kept_c);
        for (int k = 0; k < Cell::D + Cell::E; ++k) store(d_row + d_at<Cell>(sums.unit_blocks, block, k), d[k]);
    }

    // dh += d U for the units of one part: what the step before did to the cost through the recurrent matrix.
    void carry(const std::vector<const float*>& d, const Places& at, long n, long part, Rows mine) {
        const int width = back.wh.width(part);
        alignas(64) float scratch[scratch_floats];
        by_blocks(sums.unit_blocks, back.group_blocks(), [&](long from, long to) {
            by_tiles(n, width, [&](long top, int R) {
                const Term term = back.through_h(&d[top], part, from, to);
                float* rows = dh + mine[top] * Hp + part * V * W;
                const long apart = mine.apart * Hp;
                if (!masked) return tiles[width][R](&term, 1, rows, apart, rows, apart);
                tiles[width][R](&term, 1, nullptr, 0, scratch, width * W);
                for (int r = 0; r < R; ++r)
                    for (int v = 0; v < width; ++v) {
                        const long unit = (part * V + v) * W;
                        const vec keep = take(p.keep + at.b[top + r] * p.H + unit, p.H - unit);
                        float* row = rows + r * apart + v * W;
                        store(row, load(row) + keep * load(scratch + (r * width + v) * W));
                    }
            });
        });
    }

    // dx = d W for some pairs of the chunk.
    void inputs(Share share) {
        alignas(64) float scratch[scratch_floats];
        const float* rows[most_rows];
        for (long part = 0; part < back.wx.panels(); ++part) {
            const int width = back.wx.width(part);
            by_tiles(share.last - share.first, width, [&](long top, int R) {
                for (int r = 0; r < R; ++r) rows[r] = chunk.d(share.first + top + r);
                const Term term = back.through_x(rows, part);
                tiles[width][R](&term, 1, nullptr, 0, scratch, width * W);
                const long at = part * V * W, n = std::min<long>(width * W, p.I - at);
                for (int r = 0; r < R; ++r)
                    std::copy_n(scratch + r * width * W, n, chunk.dx[share.first + top + r] + at);
            });
        }
    }

    void finish(long i) {
        const long b = plan.row[i], padding = p.T - plan.length[i];
        if (p.dx) std::fill_n(p.dx + (b * p.T + plan.length[i]) * p.I, padding * p.I, 0.0f);
        if (p.dstate[0]) std::copy_n(dh + i * Hp, p.H, p.dstate[0] + b * p.H);
        if constexpr (Cell::context)
            if (p.dstate[1]) std::copy_n(dc + i * Hp, p.H, p.dstate[1] + b * p.H);
    }
};

}  // namespace regen::REGEN_ISA
