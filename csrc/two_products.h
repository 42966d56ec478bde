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
#include "unfold_back.h"

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

    // Rows of one member: every `apart`-th from `begin` on.
    struct Rows {
        long begin, apart;
        long operator[](long i) const { return begin + i * apart; }
        long count(long n) const { return std::max(0L, (n - begin + apart - 1) / apart); }
    };
    Rows rows(int member, const Team& team) const {
        return how.units ? Rows{0, 1} : Rows{member, team.size};
    }
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
        const auto mine = Base::rows(member, team);
        const Share firsts = Base::units(first.panels(), member, team);
        const Share seconds = Base::units(second.panels(), member, team);
        if (p.keep)
            for (long i = 0; i < mine.count(p.B); ++i) mask(mine[i]);
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
        for (long i = member; i < p.B; i += team.size) finish(i);
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
        constexpr long cached = 1 << 18;         // floats that stay near a core
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
        const auto mine = Base::rows(member, team), noted = typename Base::Rows{member, team.size};
        // Members keep the same units of the output from step to step.
        const Share outputs = Base::units((Pp / W + V - 1) / V, member, team);
        const Share middles = Base::units((Hp / W + V - 1) / V, member, team);
        if (p.low) Base::pack(member, team.size);
        for (AffineBack* back : {&back_first, &back_second}) back->pack(member, team.size);
        for (AffineGradients* sums : {&gradients_first, &gradients_second})
            if (!plan.steps) sums->clear(member, team.size);
        for (long i = 0; i < mine.count(p.B); ++i) start(mine[i]);
        team.meet();
        Steps at(mine.count(p.B));
        Sites again(p.low ? noted.count(p.B) * chunk.steps : 0);
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
        for (long i = member; i < p.B; i += team.size) finish(i);
    }

    void start(long i) const {
        float* row = carried + i * Pp;
        std::fill_n(row, Pp, 0.0f);
        if (p.dlast[0]) std::copy_n(p.dlast[0] + plan.row[i] * p.P, p.P, row);
    }

    // Write the records of some rows, and the gates if they were not kept. Returns how many pairs there are in all.
    long note(long begin, long end, typename Base::Rows noted, Sites& again) {
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
                if (p.dout) to_o += take(p.dout + (b * p.T + t) * p.P + unit, p.P - unit);
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
