// Threads: the OpenMP pool that torch has already loaded, or plain threads where there is none.
#pragma once

#include <atomic>

namespace regen {

// Those who work on one problem together.
class Team {
public:
    explicit Team(int size) : size(size) {}
    int size;  // not changed once they work

    // Wait until everybody is here. What was written before is seen by all afterwards.
    void meet() {
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

// Call work(self, member, team) once in each of `threads` threads and wait for all. There may be fewer: the team's size
// says how many there are. work must not throw.
void together(int threads, void (*work)(void* self, int member, Team& team), void* self);

template <class Work>
void together(int threads, Work work) {
    together(threads, [](void* self, int member, Team& team) { (*static_cast<Work*>(self))(member, team); }, &work);
}

}  // namespace regen
