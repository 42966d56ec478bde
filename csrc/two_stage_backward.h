// The backward pass of cells with two matrix products in a step.
#pragma once

#include "two_stage.h"
#include "backward.h"

namespace regen::REGEN_ISA {

// The records of the pairs of row and step in a chunk. Scratch.
struct Records {
    const long steps;
    const long x, one, m, stride, second, d_stride, act_stride;
    ScratchFloats records;                       // (pairs, stride): h_in, x, a 1, m
    ScratchFloats ds;                            // (pairs, d_stride): of the first map, from `second` on of the second
    ScratchFloats acts;                          // (pairs, Hp / W, A, W) recomputed gates; empty when they were saved
    std::vector<float*> act;                     // (pairs,) where the gates are
    std::vector<float*> dx;                      // (pairs,) where the gradient of x is written

    // A: number of recomputed gates, 0 when they were saved.
    Records(const Problem& p, const Plan& plan, const Affine& to_first, const Affine& to_second, int A)
        : steps(chunk_steps(p, plan, (to_first.vectors() + to_second.vectors()) * W)), x(p.P), one(x + p.I), m(one + 1),
          stride(record_stride(m + blocks(p.H) * W)), second(to_first.vectors() * W),
          d_stride(record_stride(second + to_second.vectors() * W)), act_stride(blocks(p.H) * W * A),
          records(steps * p.B * stride), ds(steps * p.B * d_stride), acts(steps * p.B * act_stride),
          act(steps * p.B), dx(steps * p.B) {}

    long begin(long end) const { return std::max(0L, end - steps); }
    float* record(long pair) const { return records + pair * stride; }
    float* d(long pair) const { return ds + pair * d_stride; }
    GradientPairs pairs(long n, long offset) const { return {n, records, stride, ds + offset, d_stride}; }
};

// In chunks of steps, as the other Backward.
template <TwoStage Cell>
class Backward<Cell> : TwoStageCell<Cell> {
    using Base = TwoStageCell<Cell>;
    using Base::p, Base::plan, Base::how, Base::first, Base::second, Base::zoneout, Base::saved, Base::Hp, Base::Pp;
    using Base::to_first, Base::to_second, Base::G;

public:
    explicit Backward(const Problem& problem) : Base(problem, 2) {}

    void run() { run_on_threads(how.threads, [this](int member, ThreadTeam& team) { work(member, team); }); }

private:
    static constexpr int V = max_tile_vectors;
    const bool dx = p.dx;
    AffineBackward back_first{to_first, dx}, back_second{to_second, dx};
    Records chunk{p, plan, to_first, to_second, p.low ? Cell::A : 0};
    ScratchFloats carried{p.B * Pp};         // (B, Pp) gradient of the loss with respect to the output, from later steps
    AffineWeightGradients gradients_first{to_first, 0, chunk.one}, gradients_second{to_second, chunk.m, chunk.one};

    // The rows of one step, and their derivatives.
    struct Steps : StageRows {
        std::vector<float*> d, carried;
        std::vector<const float*> d_read;        // the same as d
        explicit Steps(long n) : StageRows(n), d(n), carried(n), d_read(n) {}
    };

    void work(int member, ThreadTeam& team) {
        const Rows mine = Base::rows(member, team), recorded = assign_rows(p, member, team.size);
        // Each member has the same units of the output at every step.
        const Share outputs = Base::units((Pp / W + V - 1) / V, member, team);
        const Share middles = Base::units((Hp / W + V - 1) / V, member, team);
        if (p.low) Base::pack(member, team.size);
        for (AffineBackward* each : {&back_first, &back_second}) each->pack(member, team.size);
        for (AffineWeightGradients* each : {&gradients_first, &gradients_second})
            if (!plan.steps) each->clear(member, team.size);
        for (long i = 0; i < recorded.own; ++i) start(recorded[i]);
        team.barrier();
        Steps at(mine.own);
        StageRows recomputed(p.low ? recorded.own * chunk.steps : 0);
        for (long end = plan.steps; end > 0; end = chunk.begin(end)) {
            const long pairs = fill_records(chunk.begin(end), end, recorded, recomputed);
            if (how.by_units) team.barrier();
            for (long s = end - 1, base = pairs; s >= chunk.begin(end); --s) {
                base -= plan.active[s];
                const long n = mine.count(plan.active[s]);
                for (long i = 0; i < n; ++i) place(at, i, mine[i], s, base + mine[i]);
                for (long part = outputs.first; part < outputs.last; ++part) backward_output(at, n, part);
                if (how.by_units) team.barrier();
                for (long part = middles.first; part < middles.last; ++part) backward_middle(at, n, part);
                if (how.by_units) team.barrier();
                for (long part = outputs.first; part < outputs.last; ++part) backward_recurrent(at, n, part);
            }
            team.barrier();
            const bool fresh = end == plan.steps;
            gradients_first.add(chunk.pairs(pairs, 0), fresh, member, team.size);
            gradients_second.add(chunk.pairs(pairs, chunk.second), fresh, member, team.size);
            if (dx) backward_inputs(Share(pairs, member, team.size));
            team.barrier();
        }
        for (AffineWeightGradients* each : {&gradients_first, &gradients_second}) each->write(member, team.size);
        for (long i = 0; i < recorded.own; ++i) finish(recorded[i]);
    }

    void start(long i) const {
        float* row = carried + i * Pp;
        std::fill_n(row, Pp, 0.0f);
        if (p.dlast[0]) std::copy_n(p.dlast[0] + plan.row[i] * p.P, p.P, row);
    }

    // Write the records of some rows, and recompute the gates that were not saved. Returns the number of pairs of all rows.
    long fill_records(long begin, long end, Rows recorded, StageRows& recomputed) {
        long pairs = 0, sites = 0;
        for (long s = begin; s < end; pairs += plan.active[s++])
            for (long k = 0; k < recorded.count(plan.active[s]); ++k) {
                const long i = recorded[k], b = plan.row[i], t = plan.time(p, i, s), pair = pairs + i;
                float* record = chunk.record(pair);
                fill_record(record, i, s, b, t);
                chunk.dx[pair] = dx ? p.dx + (b * p.T + t) * p.I : nullptr;
                chunk.act[pair] = p.low ? chunk.acts + pair * chunk.act_stride : saved.act(b, t);
                if (!p.low) {
                    restore_middle(record, chunk.act[pair]);
                    continue;
                }
                recomputed.x[sites] = record + chunk.x;
                recomputed.h_in[sites] = record;
                recomputed.o_prev[sites] = Base::o_prev(i, s);
                recomputed.act[sites] = chunk.acts + pair * chunk.act_stride;
                recomputed.middle(sites++, record + chunk.m);
            }
        for (long panel = 0; sites && panel < first.panels(); ++panel) Base::to_middle(recomputed, sites, panel);
        if (Cell::A > G)
            for (long panel = 0; sites && panel < second.panels(); ++panel)
                Base::to_output(recomputed, sites, panel, [](long, long, vec, vec) {});
        return pairs;
    }
    void fill_record(float* record, long i, long s, long b, long t) const {
        std::copy_n(Base::o_prev(i, s), p.P, record);
        if (p.keep)
            for (long k = 0; k < p.P; ++k) record[k] *= p.keep[b * p.P + k];
        std::copy_n(p.x + b * p.x_stride_b + t * p.x_stride_t, p.I, record + chunk.x);
        record[chunk.one] = 1;
    }
    void restore_middle(float* record, const float* saved_row) const {
        for (long block = 0; block < Hp / W; ++block) {
            vec act[Cell::A];
            load_gates(saved_row, block, act);
            store(record + chunk.m + block * W, Cell::middle(act, Base::matching_units(record, block * W)));
        }
    }
    static void load_gates(const float* saved_row, long block, vec* act) {
        for (int a = 0; a < Cell::A; ++a) act[a] = load(saved_row + (block * Cell::A + a) * W);
    }

    void place(Steps& at, long n, long i, long s, long pair) const {
        at.b[n] = plan.row[i];
        at.t[n] = plan.time(p, i, s);
        at.o_prev[n] = Base::o_prev(i, s);
        at.h_in[n] = chunk.record(pair);
        at.act[n] = chunk.act[pair];
        at.d_read[n] = at.d[n] = chunk.d(pair);
        at.carried[n] = carried + i * Pp;
    }

    // From the gradient of the output to the derivatives of the second map, for the units of one part.
    void backward_output(const Steps& at, long n, long part) const {
        for (long i = 0; i < n; ++i)
            for (long block = part * V; block < std::min(part * V + V, Pp / W); ++block) {
                const long unit = block * W, b = at.b[i], t = at.t[i];
                vec act[Cell::A], o_prev{}, d[G]{}, d_second[1], d_prev, zoneout_o{}, to_o = load(at.carried[i] + unit);
                if (Cell::same_units) load_gates(at.act[i], block, act), o_prev = load_first(at.o_prev[i] + unit, p.P - unit);
                if (p.dout) {
                    const float* from = p.dout + (b * p.T + t) * p.P + unit;
                    to_o += load_first(from, p.P - unit);
                    prefetch(from + (p.reverse ? p.P : -p.P));
                }
                if (zoneout.any) {
                    const vec z = zoneout(0, b, t, unit, p.P - unit);
                    zoneout_o = z * to_o;
                    to_o *= 1.0f - z;
                }
                Cell::backward_output(act, o_prev, to_o, d, d_second[0], d_prev);
                // The lanes past the units hold NaN where an input is infinite (0 * inf), and the products of d read them.
                clear_lanes(d, p.P - unit);
                clear_lanes(d_second, p.P - unit);
                store(at.carried[i] + unit, d_prev + zoneout_o);
                store(at.d[i] + chunk.second + unit, d_second[0]);
                for (int g = Cell::middle_gates; g < G; ++g) store(at.d[i] + (block * G + g) * W, d[g]);
            }
    }

    // From the gradient of m to the derivatives of the first map, for the units of one part.
    void backward_middle(const Steps& at, long n, long part) const {
        alignas(64) float to_m[scratch_floats];
        const int width = back_second.width(part);
        by_tiles(n, width, [&](long top, int R) {
            const Term term = back_second.through_u(&at.d_read[top], chunk.second, part);
            tiles[width][R](&term, 1, nullptr, 0, to_m, width * W);
            for (long i = top; i < top + R; ++i)
                for (int v = 0; v < width; ++v) {
                    const long block = part * V + v, unit = block * W;
                    vec act[Cell::A], d[G]{}, dh_in{};
                    load_gates(at.act[i], block, act);
                    const vec h_in = Base::matching_units(at.h_in[i], unit);
                    Cell::backward_middle(act, h_in, load(to_m + ((i - top) * width + v) * W), d, dh_in);
                    clear_lanes(d, p.H - unit);
                    for (int g = 0; g < Cell::middle_gates; ++g) store(at.d[i] + (block * G + g) * W, d[g]);
                    if (Cell::same_units) backward_recurrent(at, i, unit, dh_in);
                }
        });
    }

    // From the derivatives of the first map to the gradient of the previous output, for the units of one part.
    void backward_recurrent(const Steps& at, long n, long part) const {
        alignas(64) float to_h_in[scratch_floats];
        const int width = back_first.width(part);
        by_tiles(n, width, [&](long top, int R) {
            const Term term = back_first.through_u(&at.d_read[top], 0, part);
            tiles[width][R](&term, 1, nullptr, 0, to_h_in, width * W);
            for (int r = 0; r < R; ++r)
                for (int v = 0; v < width; ++v)
                    backward_recurrent(at, top + r, (part * V + v) * W, load(to_h_in + (r * width + v) * W));
        });
    }
    void backward_recurrent(const Steps& at, long i, long unit, vec dh_in) const {
        float* row = at.carried[i] + unit;
        store(row, load(row) + Base::keep(at.b[i], unit) * dh_in);
    }

    // dx for some pairs of the chunk.
    void backward_inputs(Share share) const {
        alignas(64) float scratch[scratch_floats];
        const float* rows[max_tile_rows];
        for (long column = 0, part = 0; column < p.I; column += V * W, ++part) {
            const int width = static_cast<int>(std::min<long>(V, blocks(p.I - column)));
            by_tiles(share.last - share.first, width, [&](long top, int R) {
                for (int r = 0; r < R; ++r) rows[r] = chunk.d(share.first + top + r);
                const Term terms[] = {back_first.through_w(rows, 0, part),
                                      back_second.through_w(rows, chunk.second, part)};
                tiles[width][R](terms, to_second.X ? 2 : 1, nullptr, 0, scratch, width * W);
                for (int r = 0; r < R; ++r)
                    std::copy_n(scratch + r * width * W, std::min<long>(width * W, p.I - column),
                                chunk.dx[share.first + top + r] + column);
            });
        }
    }

    void finish(long i) const {
        const long b = plan.row[i], padding = p.T - plan.length[i];
        if (dx) std::fill_n(p.dx + (b * p.T + plan.length[i]) * p.I, padding * p.I, 0.0f);
        if (p.dstate[0]) std::copy_n(carried + i * Pp, p.P, p.dstate[0] + b * p.P);
    }
};

}  // namespace regen::REGEN_ISA
