// Threads: the OpenMP pool that torch has loaded, or std::thread without it.
#pragma once

#include <atomic>

namespace regen {

// The threads that work on one problem.
class ThreadTeam {
public:
    explicit ThreadTeam(int size) : size(size) {}
    int size;  // constant while they work

    // Wait until all threads are here. Writes before the barrier are visible to all threads after it.
    void barrier() {
        if (size == 1) return;
        const unsigned now = round.load(std::memory_order_relaxed);
        if (arrived.fetch_add(1, std::memory_order_acq_rel) == size - 1) {
            arrived.store(0, std::memory_order_relaxed);
            round.store(now + 1, std::memory_order_release);
        } else {
            wait(now);
        }
    }

private:
    void wait(unsigned now);
    alignas(64) std::atomic<int> arrived{0};
    alignas(64) std::atomic<unsigned> round{0};
};

// Call work(self, member, team) once in each of `threads` threads, or of team.size threads where fewer are available, and
// wait for all of them. work must not throw.
void run_on_threads(int threads, void (*work)(void* self, int member, ThreadTeam& team), void* self);

template <class Work>
void run_on_threads(int threads, Work work) {
    run_on_threads(
        threads, [](void* self, int member, ThreadTeam& team) { (*static_cast<Work*>(self))(member, team); }, &work);
}

}  // namespace regen
