// Cells with two products in a step, backward through time.
#pragma once

#include "two_products.h"
#include "unfold_back.h"

namespace regen::REGEN_ISA {

// Pairs of row and step in a chunk. Scratch.
struct Records {
    const long steps;                            // in a chunk
    const long x, one, m, stride, second, d_stride, act_stride;
    Floats records;                              // (pairs, stride): what was heard, x, a 1, the middle
    Floats ds;                                   // (pairs, d_stride): of the first sums, from `second` on of the second
    Floats acts;                                 // (pairs, Hp / W, A, W) gates computed again; none when they were kept
    std::vector<float*> act;                     // (pairs,) where the gates are
    std::vector<float*> dx;                      // (pairs,) where the input's share goes

    // A: of the gates that are computed again, 0 when they were kept.
    Records(const Problem& p, const Plan& plan, const Affine& to_first, const Affine& to_second, int A)
        : steps(size(p, plan, to_first.vectors() + to_second.vectors())), x(p.P), one(x + p.I), m(one + 1),
          stride(odd(m + blocks(p.H) * W)), second(to_first.vectors() * W),
          d_stride(odd(second + to_second.vectors() * W)), act_stride(blocks(p.H) * W * A),
          records(steps * p.B * stride), ds(steps * p.B * d_stride), acts(steps * p.B * act_stride),
          act(steps * p.B), dx(steps * p.B) {}

    long begin(long end) const { return std::max(0L, end - steps); }
    float* record(long pair) const { return records + pair * stride; }
    float* d(long pair) const { return ds + pair * d_stride; }
    Heard pairs(long n, long offset) const { return {n, records, stride, ds + offset, d_stride}; }

private:
    // Whole cache lines, an odd number of them: neighbours in a column fall into different sets of the cache.
    static long odd(long floats) { return ((floats + 15) / 16 | 1) * 16; }
    static long size(const Problem& p, const Plan& plan, long vectors) {
        constexpr long cached = many ? 1 << 18 : 1 << 17;   // floats that stay near a core
        const long pairs = std::max(96L, cached / (vectors * W));
        return std::max(1L, std::min(plan.steps, pairs / std::max(1L, p.B)));
    }
};

// In chunks of steps: first what every step did to the cost, from the last to the first; then what the weights and the
// inputs did, as large products over all pairs of row and step in the chunk.
template <TwoProducts Cell>
class Backward<Cell> : Unfolded<Cell> {
    using Base = Unfolded<Cell>;
    using Base::p, Base::plan, Base::how, Base::first, Base::second, Base::zones, Base::saved, Base::Hp, Base::Pp;
    using Base::to_first, Base::to_second, Base::G;

public:
    explicit Backward(const Problem& problem) : Base(problem, 2) {}

    void run() { together(how.threads, [this](int member, Team& team) { work(member, team); }); }

private:
    static constexpr int V = most_vectors;
    const bool dx = p.dx;
    AffineBack back_first{to_first, dx}, back_second{to_second, dx};
    Records chunk{p, plan, to_first, to_second, p.low ? Cell::A : 0};
    Floats carried{p.B * Pp};        // (B, Pp) what the output did to the cost later on, carried from step to step
    AffineGradients gradients_first{to_first, 0, chunk.one}, gradients_second{to_second, chunk.m, chunk.one};

    // A step's sites, and their pairs.
    struct Steps : Sites {
        std::vector<float*> d, carried;
        std::vector<const float*> d_read;        // as d
        explicit Steps(long n) : Sites(n), d(n), carried(n), d_read(n) {}
    };

    void work(int member, Team& team) {
        const Rows mine = Base::rows(member, team), noted = dealt(p, member, team.size);
        // Members keep the same units of the output from step to step.
        const Share outputs = Base::units((Pp / W + V - 1) / V, member, team);
        const Share middles = Base::units((Hp / W + V - 1) / V, member, team);
        if (p.low) Base::pack(member, team.size);
        for (AffineBack* back : {&back_first, &back_second}) back->pack(member, team.size);
        for (AffineGradients* sums : {&gradients_first, &gradients_second})
            if (!plan.steps) sums->clear(member, team.size);
        for (long i = 0; i < noted.own; ++i) start(noted[i]);
        team.meet();
        Steps at(mine.own);
        Sites again(p.low ? noted.own * chunk.steps : 0);
        for (long end = plan.steps; end > 0; end = chunk.begin(end)) {
            const long pairs = note(chunk.begin(end), end, noted, again);
            if (how.units) team.meet();
            for (long s = end - 1, base = pairs; s >= chunk.begin(end); --s) {
                base -= plan.active[s];
                const long n = mine.count(plan.active[s]);
                for (long i = 0; i < n; ++i) place(at, i, mine[i], s, base + mine[i]);
                for (long part = outputs.first; part < outputs.last; ++part) through_output(at, n, part);
                if (how.units) team.meet();
                for (long part = middles.first; part < middles.last; ++part) through_middle(at, n, part);
                if (how.units) team.meet();
                for (long part = outputs.first; part < outputs.last; ++part) carry(at, n, part);
            }
            team.meet();
            const bool fresh = end == plan.steps;
            gradients_first.add(chunk.pairs(pairs, 0), fresh, member, team.size);
            gradients_second.add(chunk.pairs(pairs, chunk.second), fresh, member, team.size);
            if (dx) inputs(Share(pairs, member, team.size));
            team.meet();
        }
        for (AffineGradients* sums : {&gradients_first, &gradients_second}) sums->write(member, team.size);
        for (long i = 0; i < noted.own; ++i) finish(noted[i]);
    }

    void start(long i) const {
        float* row = carried + i * Pp;
        std::fill_n(row, Pp, 0.0f);
        if (p.dlast[0]) std::copy_n(p.dlast[0] + plan.row[i] * p.P, p.P, row);
    }

    // Write the records of some rows, and the gates if they were not kept. Returns how many pairs there are in all.
    long note(long begin, long end, Rows noted, Sites& again) {
        long pairs = 0, sites = 0;
        for (long s = begin; s < end; pairs += plan.active[s++])
            for (long k = 0; k < noted.count(plan.active[s]); ++k) {
                const long i = noted[k], b = plan.row[i], t = plan.time(p, i, s), pair = pairs + i;
                float* record = chunk.record(pair);
                hear(record, i, s, b, t);
                chunk.dx[pair] = dx ? p.dx + (b * p.T + t) * p.I : nullptr;
                chunk.act[pair] = p.low ? chunk.acts + pair * chunk.act_stride : saved.act(b, t);
                if (!p.low) {
                    recall_middle(record, chunk.act[pair]);
                    continue;
                }
                again.x[sites] = record + chunk.x;
                again.heard[sites] = record;
                again.past[sites] = Base::past(i, s);
                again.act[sites] = chunk.acts + pair * chunk.act_stride;
                again.middle(sites++, record + chunk.m);
            }
        for (long panel = 0; sites && panel < first.panels(); ++panel) Base::to_middle(again, sites, panel);
        if (Cell::A > G)
            for (long panel = 0; sites && panel < second.panels(); ++panel)
                Base::to_output(again, sites, panel, [](long, long, vec, vec) {});
        return pairs;
    }
    void hear(float* record, long i, long s, long b, long t) const {
        std::copy_n(Base::past(i, s), p.P, record);
        if (p.keep)
            for (long k = 0; k < p.P; ++k) record[k] *= p.keep[b * p.P + k];
        std::copy_n(p.x + b * p.x_stride_b + t * p.x_stride_t, p.I, record + chunk.x);
        record[chunk.one] = 1;
    }
    void recall_middle(float* record, const float* kept) const {
        for (long block = 0; block < Hp / W; ++block) {
            vec act[Cell::A];
            recall(kept, block, act);
            store(record + chunk.m + block * W, Cell::middle(act, Base::alike(record, block * W)));
        }
    }
    static void recall(const float* kept, long block, vec* act) {
        for (int a = 0; a < Cell::A; ++a) act[a] = load(kept + (block * Cell::A + a) * W);
    }

    void place(Steps& at, long n, long i, long s, long pair) const {
        at.b[n] = plan.row[i];
        at.t[n] = plan.time(p, i, s);
        at.past[n] = Base::past(i, s);
        at.heard[n] = chunk.record(pair);
        at.act[n] = chunk.act[pair];
        at.d_read[n] = at.d[n] = chunk.d(pair);
        at.carried[n] = carried + i * Pp;
    }

    // What the output did to the cost: derivatives of the second map's sums, for the units of one part.
    void through_output(const Steps& at, long n, long part) const {
        for (long i = 0; i < n; ++i)
            for (long block = part * V; block < std::min(part * V + V, Pp / W); ++block) {
                const long unit = block * W, b = at.b[i], t = at.t[i];
                vec act[Cell::A], past{}, d[G], d_second, d_past, kept{}, to_o = load(at.carried[i] + unit);
                if (Cell::alike) recall(at.act[i], block, act), past = take(at.past[i] + unit, p.P - unit);
                if (p.dout) {
                    const float* from = p.dout + (b * p.T + t) * p.P + unit;
                    to_o += take(from, p.P - unit);
                    soon(from + (p.reverse ? p.P : -p.P));
                }
                if (zones.any) {
                    const vec z = zones(0, b, t, unit, p.P - unit);
                    kept = z * to_o;
                    to_o *= 1.0f - z;
                }
                Cell::through_output(act, past, to_o, d, d_second, d_past);
                store(at.carried[i] + unit, d_past + kept);
                store(at.d[i] + chunk.second + unit, d_second);
                for (int g = Cell::early; g < G; ++g) store(at.d[i] + (block * G + g) * W, d[g]);
            }
    }

    // What the middle did: derivatives of the first map's sums, for the units of one part.
    void through_middle(const Steps& at, long n, long part) const {
        alignas(64) float to_m[scratch_floats];
        const int width = back_second.width(part);
        by_tiles(n, width, [&](long top, int R) {
            const Term term = back_second.through_u(&at.d_read[top], chunk.second, part);
            tiles[width][R](&term, 1, nullptr, 0, to_m, width * W);
            for (long i = top; i < top + R; ++i)
                for (int v = 0; v < width; ++v) {
                    const long block = part * V + v, unit = block * W;
                    vec act[Cell::A], d[G], d_heard{};
                    recall(at.act[i], block, act);
                    const vec heard = Base::alike(at.heard[i], unit);
                    Cell::through_middle(act, heard, load(to_m + ((i - top) * width + v) * W), d, d_heard);
                    for (int g = 0; g < Cell::early; ++g) store(at.d[i] + (block * G + g) * W, d[g]);
                    if (Cell::alike) carry(at, i, unit, d_heard);
                }
        });
    }

    // What was heard of the step before, for the units of one part.
    void carry(const Steps& at, long n, long part) const {
        alignas(64) float to_heard[scratch_floats];
        const int width = back_first.width(part);
        by_tiles(n, width, [&](long top, int R) {
            const Term term = back_first.through_u(&at.d_read[top], 0, part);
            tiles[width][R](&term, 1, nullptr, 0, to_heard, width * W);
            for (int r = 0; r < R; ++r)
                for (int v = 0; v < width; ++v)
                    carry(at, top + r, (part * V + v) * W, load(to_heard + (r * width + v) * W));
        });
    }
    void carry(const Steps& at, long i, long unit, vec d_heard) const {
        float* row = at.carried[i] + unit;
        store(row, load(row) + Base::keep(at.b[i], unit) * d_heard);
    }

    // dx for some pairs of the chunk.
    void inputs(Share share) const {
        alignas(64) float scratch[scratch_floats];
        const float* rows[most_rows];
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
