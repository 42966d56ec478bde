#include "team.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>

#include <thread>
#include <vector>

namespace regen {
namespace {

// libgomp's entry points; torch has loaded the library, and its threads are the ones that are awake.
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
    bool there() const { return parallel && number && size && nested; }

private:
    template <class Function>
    static void find(Function& function, const char* name) {
        function = reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
    }
};

// In a child made by fork the pool's threads are gone, but not its belief in them: work alone there.
std::atomic<bool> forked{false};
const int noticed = pthread_atfork(nullptr, nullptr, [] { forked = true; });

void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

}  // namespace

void Team::wait(unsigned now) {
    for (int turn = 0; round.load(std::memory_order_acquire) == now; ++turn)
        if (turn < 4000) pause(); else sched_yield();
}

void together(int threads, void (*work)(void*, int, Team&), void* self) {
    static const OpenMP openmp;
    if (threads > 1 && openmp.there() && openmp.nested()) threads = 1;
    if (threads <= 1 || (forked && openmp.there())) {
        Team alone(1);
        work(self, 0, alone);
    } else if (openmp.there()) {
        struct Call {
            void (*work)(void*, int, Team&);
            void* self;
            Team team{1};
            std::atomic<bool> counted{false};
        } call{work, self};
        openmp.parallel(
            [](void* given) {
                Call& call = *static_cast<Call*>(given);
                const int member = openmp.number();
                if (member == 0) {
                    call.team.size = openmp.size();
                    call.counted.store(true, std::memory_order_release);
                } else {
                    while (!call.counted.load(std::memory_order_acquire)) pause();
                }
                call.work(call.self, member, call.team);
            },
            &call, static_cast<unsigned>(threads), 0);
    } else {
        Team team(threads);
        std::vector<std::thread> others;
        for (int member = 1; member < threads; ++member) others.emplace_back(work, self, member, std::ref(team));
        work(self, 0, team);
        for (std::thread& other : others) other.join();
    }
}

}  // namespace regen
