// Backward pass, in chunks of steps: first the gradients with respect to the states and preactivations of each step, from
// the last to the first; then those of the weights and inputs, as large products over all pairs of row and step in the chunk.
#pragma once

#include "forward.h"
#include "weight_gradients.h"

namespace regen::REGEN_ISA {

template <class Cell>
class Backward {
public:
    explicit Backward(const Problem& p)
        : p(p), plan(p), how(choose_split(p, plan, 2 * Cell::G * p.H)), preactivations(p), zoneout(p, Cell::context ? 2 : 1), saved{p},
          transposed(p), chunk(p, plan, Cell::D + Cell::E), zeros(Hp), contexts(Cell::context ? p.B * Hp : 0), dh(p.B * Hp),
          dc(Cell::context ? p.B * Hp : 0), gradients(p) {
        std::fill_n(static_cast<float*>(zeros), Hp, 0.0f);
    }

    void run() { run_on_threads(how.threads, [this](int member, ThreadTeam& team) { work(member, team); }); }

private:
    static constexpr int V = max_tile_vectors;
    const Problem& p;
    const Plan plan;
    const Split how;
    Preactivations<Cell> preactivations;
    const Zoneout zoneout;
    const Saved<Cell> saved;
    TransposedWeights<Cell> transposed;
    Chunk chunk;
    const long Hp = blocks(p.H) * W;
    const bool masked = Cell::dense && p.keep;
    const long next = p.reverse ? 1 : -1;    // from a step to the one processed next, in memory
    ScratchFloats zeros, contexts;   // (Hp,); (B, Hp) before the first step
    ScratchFloats dh, dc;            // (B, Hp) gradients of the loss with respect to the states, updated step by step
    WeightGradients<Cell> gradients;

    void work(int member, ThreadTeam& team) {
        if (saved.recompute) preactivations.pack(Share(preactivations.panels(), member, team.size));
        else preactivations.pack_extra(Share(preactivations.unit_blocks, member, team.size));
        transposed.pack(member, team.size);
        if (!plan.steps) gradients.clear(member, team.size);
        const Rows mine = rows_of(p, how, member, team.size), recorded = assign_rows(p, member, team.size);
        // Panels of both passes must hold the same units for one member.
        const Share parts((preactivations.unit_blocks + V - 1) / V, how.by_units ? member : 0, how.by_units ? team.size : 1);
        for (long i = 0; i < recorded.own; ++i) start(recorded[i]);
        team.barrier();
        StepRows at(mine.own);
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
                    at.h_in[i] = masked ? chunk.inputs(base + mine[i]) : at.h_prev[i];
                }
                for (long i = 0; i < recorded.count(plan.active[s]); ++i)
                    fill_records(at, how.by_units ? recorded[i] : i, base + recorded[i]);
                if (how.by_units && masked && saved.recompute) team.barrier();
                for (long part = parts.first; part < parts.last; ++part) step(at, d, n, part, mine);
                if (how.by_units) team.barrier();
                if (Cell::dense)
                    for (long part = parts.first; part < parts.last; ++part)
                        backward_recurrent(d_read, at, n, part, mine);
            }
            team.barrier();
            gradients.add(chunk, pairs, end == plan.steps, member, team.size);
            if (p.dx) backward_inputs(Share(pairs, member, team.size));
            team.barrier();
        }
        gradients.write(member, team.size);
        for (long i = 0; i < recorded.own; ++i) finish(recorded[i]);
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

    void place(StepRows& at, long n, long i, long s) const {
        const long b = plan.row[i], t = plan.time(p, i, s), t_prev = p.reverse ? t + 1 : t - 1;
        at.b[n] = b;
        at.t[n] = t;
        at.x[n] = p.x + b * p.x_stride_b + t * p.x_stride_t;
        at.h_prev[n] = s ? p.out + (b * p.T + t_prev) * p.H : p.state[0] ? p.state[0] + b * p.H : zeros;
        if constexpr (Cell::context) at.c_prev[n] = s ? saved.c(b, t_prev) : contexts + i * Hp;
        at.act[n] = saved.gates ? saved.act(b, t) : p.out + (b * p.T + t) * p.H;
    }

    // Copy the recurrent and the external input of this step to the records of the chunk.
    void fill_records(const StepRows& at, long i, long pair) {
        float* h_in = chunk.inputs(pair);
        if constexpr (Cell::dense) {
            std::copy_n(at.h_prev[i], p.H, h_in);
            prefetch(at.h_prev[i] + next * p.H, p.H);
            if (masked)
                for (long u = 0; u < p.H; ++u) h_in[u] *= p.keep[at.b[i] * p.H + u];
        }
        std::copy_n(at.x[i], p.I, h_in + chunk.x_first);
        if (p.dx) chunk.dx[pair] = p.dx + (at.b[i] * p.T + at.t[i]) * p.I;
    }

    // Backward pass of one step, for the units of one part.
    void step(StepRows& at, const std::vector<float*>& d, long n, long part, Rows mine) {
        const long begin = part * V, end = std::min(begin + V, preactivations.unit_blocks);
        if (!saved.recompute) {
            for (long i = 0; i < n; ++i)
                for (long block = begin; block < end; ++block) {
                    vec act[Cell::A];
                    load_gates(at, i, block, act);
                    backward_cell(at, i, block, act, dh + mine[i] * Hp, dc + mine[i] * Hp, d[i]);
                }
            return;
        }
        alignas(64) float zx[scratch_floats], zh[Cell::separate_terms ? scratch_floats : 1];
        for (long panel = begin / preactivations.units; panel * preactivations.units < end; ++panel) {
            const int width = preactivations.wx.width(panel);
            by_tiles(n, width, [&](long top, int R) {
                preactivations(panel, R, &at.x[top], &at.h_in[top], zx, zh);
                for (int r = 0; r < R; ++r)
                    for (int q = 0; q < width / Cell::G; ++q) {
                        vec act[Cell::A];
                        const long i = top + r, block = panel * preactivations.units + q, at_z = (r * width + q * Cell::G) * W;
                        recompute_gates(at, i, block, zx + at_z, zh + (Cell::separate_terms ? at_z : 0), act);
                        backward_cell(at, i, block, act, dh + mine[i] * Hp, dc + mine[i] * Hp, d[i]);
                    }
            });
        }
    }

    // Load the saved gates of one row and W units.
    void load_gates(const StepRows& at, long i, long block, vec* act) const {
        if (saved.same) {
            act[0] = load_first(at.act[i] + block * W, p.H - block * W);
            return;
        }
        const float* kept = at.act[i] + block * Cell::A * W;
        for (int a = 0; a < Cell::A; ++a) act[a] = load(kept + a * W);
        prefetch(kept + next * Hp * Cell::A, Cell::A * W);
    }

    // Compute the gates of one row and W units from their preactivations.
    void recompute_gates(const StepRows& at, long i, long block, const float* zx, const float* zh, vec* act) const {
        vec x[Cell::G], u[Cell::G], extra[Cell::E + 1], h, c{}, c_prev{};
        for (int g = 0; g < Cell::G; ++g) x[g] = load(zx + g * W);
        if constexpr (Cell::separate_terms)
            for (int g = 0; g < Cell::G; ++g) u[g] = load(zh + g * W);
        for (int e = 0; e < Cell::E; ++e) extra[e] = load(preactivations.extra + (block * Cell::E + e) * W);
        if constexpr (Cell::context) c_prev = load(at.c_prev[i] + block * W);
        const long n = p.H - block * W;
        vec h_prev = load_first(at.h_prev[i] + block * W, n);
        if (!Cell::dense && p.keep) h_prev *= load_first(p.keep + at.b[i] * p.H + block * W, n);
        Cell::forward(x, u, h_prev, c_prev, extra, act, h, c);
    }

    void backward_cell(const StepRows& at, long i, long block, const vec* act, float* dh_row, float* dc_row, float* d_row) {
        const long unit = block * W, n = p.H - unit, b = at.b[i], t = at.t[i];
        vec extra[Cell::E + 1], c_prev{}, to_c{}, dh_prev, d[Cell::D + Cell::E], h_prev{}, zoneout_h{}, zoneout_c{};
        for (int e = 0; e < Cell::E; ++e) extra[e] = load(preactivations.extra + (block * Cell::E + e) * W);
        vec to_h = load(dh_row + unit);
        if (p.dout) {
            const float* from = p.dout + (b * p.T + t) * p.H + unit;
            to_h += load_first(from, n);
            prefetch(from + next * p.H);
        }
        if constexpr (Cell::reads_h_prev) h_prev = load_first(at.h_prev[i] + unit, n);
        if constexpr (Cell::context) {
            c_prev = load(at.c_prev[i] + unit), to_c = load(dc_row + unit);
            prefetch(at.c_prev[i] + unit + next * Hp);
        }
        if (zoneout.any) {
            const vec z = zoneout(0, b, t, unit, n);
            zoneout_h = z * to_h;
            to_h *= 1.0f - z;
            if constexpr (Cell::context) {
                const vec y = zoneout(1, b, t, unit, n);
                zoneout_c = y * to_c;
                to_c *= 1.0f - y;
            }
        }
        vec keep = splat(1);
        if (!Cell::dense && p.keep) h_prev *= keep = load_first(p.keep + b * p.H + unit, n);
        Cell::backward(act, h_prev, c_prev, extra, to_h, to_c, d, dh_prev);
        store(dh_row + unit, dh_prev * keep + zoneout_h);
        if constexpr (Cell::context) store(dc_row + unit, to_c + zoneout_c);
        clear_lanes(d, n);   // those past H hold NaN where an input is infinite (0 * inf), and the products of d read them
        for (int k = 0; k < Cell::D + Cell::E; ++k) store(d_row + d_at<Cell>(preactivations.unit_blocks, block, k), d[k]);
    }

    // dh += d U for the units of one part: the gradient that reaches the previous step through the recurrent matrix.
    void backward_recurrent(const std::vector<const float*>& d, const StepRows& at, long n, long part, Rows mine) {
        const int width = transposed.wh.width(part);
        alignas(64) float scratch[scratch_floats];
        by_blocks(preactivations.unit_blocks, transposed.group_blocks(), [&](long from, long to) {
            by_tiles(n, width, [&](long top, int R) {
                const Term term = transposed.through_h(&d[top], part, from, to);
                float* rows = dh + mine[top] * Hp + part * V * W;
                const long stride = mine.stride * Hp;
                if (!masked) return tiles[width][R](&term, 1, rows, stride, rows, stride);
                tiles[width][R](&term, 1, nullptr, 0, scratch, width * W);
                for (int r = 0; r < R; ++r)
                    for (int v = 0; v < width; ++v) {
                        const long unit = (part * V + v) * W;
                        const vec keep = load_first(p.keep + at.b[top + r] * p.H + unit, p.H - unit);
                        float* row = rows + r * stride + v * W;
                        store(row, load(row) + keep * load(scratch + (r * width + v) * W));
                    }
            });
        });
    }

    // dx = d W for some pairs of the chunk.
    void backward_inputs(Share share) {
        alignas(64) float scratch[scratch_floats];
        const float* rows[max_tile_rows];
        for (long part = 0; part < transposed.wx.panels(); ++part) {
            const int width = transposed.wx.width(part);
            by_tiles(share.last - share.first, width, [&](long top, int R) {
                for (int r = 0; r < R; ++r) rows[r] = chunk.d(share.first + top + r);
                const Term term = transposed.through_x(rows, part);
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
