#include "thread_team.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>

#include <thread>
#include <vector>

namespace regen {
namespace {

// Entry points of libgomp, which torch has loaded. Its threads spin for a while after a parallel region, so they start
// without a delay.
struct OpenMP {
    void (*parallel)(void (*)(void*), void*, unsigned, unsigned) = nullptr;
    int (*number)() = nullptr;
    int (*size)() = nullptr;
    int (*nested)() = nullptr;

    OpenMP() {
        find(parallel, "GOMP_parallel");
        find(number, "omp_get_thread_num");
        find(size, "omp_get_num_threads");
        find(nested, "omp_in_parallel");
    }
    bool available() const { return parallel && number && size && nested; }

private:
    template <class Function>
    static void find(Function& function, const char* name) {
        function = reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
    }
};

// After a fork the child has no threads of the pool, but OpenMP does not notice: run in the calling thread there.
std::atomic<bool> forked{false};
const int registered = pthread_atfork(nullptr, nullptr, [] { forked = true; });

void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

}  // namespace

// Turns of the wait before the thread yields its core: 103 us on Zen 3 (a pause of 26 ns), longer than threads with equal work
// differ, so that a barrier costs no system call unless a thread has been interrupted.
constexpr int spins = 4000;

void ThreadTeam::wait(unsigned now) {
    for (int turn = 0; round.load(std::memory_order_acquire) == now; ++turn)
        if (turn < spins) pause(); else sched_yield();
}

void run_on_threads(int threads, void (*work)(void*, int, ThreadTeam&), void* self) {
    static const OpenMP openmp;
    if (threads > 1 && openmp.available() && openmp.nested()) threads = 1;
    if (threads <= 1 || (forked && openmp.available())) {
        ThreadTeam alone(1);
        work(self, 0, alone);
    } else if (openmp.available()) {
        struct Call {
            void (*work)(void*, int, ThreadTeam&);
            void* self;
            ThreadTeam team{1};
            std::atomic<bool> size_known{false};
        } call{work, self};
        openmp.parallel(
            [](void* argument) {
                Call& call = *static_cast<Call*>(argument);
                const int member = openmp.number();
                if (member == 0) {
                    call.team.size = openmp.size();
                    call.size_known.store(true, std::memory_order_release);
                } else {
                    while (!call.size_known.load(std::memory_order_acquire)) pause();
                }
                call.work(call.self, member, call.team);
            },
            &call, static_cast<unsigned>(threads), 0);
    } else {
        ThreadTeam team(threads);
        std::vector<std::thread> others;
        for (int member = 1; member < threads; ++member) others.emplace_back(work, self, member, std::ref(team));
        work(self, 0, team);
        for (std::thread& other : others) other.join();
    }
}

}  // namespace regen
