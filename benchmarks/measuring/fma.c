// As many float32 multiply-adds as the machine can do: independent sums in registers, no memory.
// fma_loop returns the floating-point operations done by all threads together.
#include <pthread.h>

#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif
#if defined(__x86_64__)
#define REGISTER "+v"
#else
#define REGISTER "+w"
#endif
#define SUMS 12
#define ALL(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)
// Named variables and not an array, which would be kept in memory; the empty asm keeps each step a step.
#define START(k) vec s##k = (vec){0} + (float)k;
#define STEP(k) s##k = s##k * a + b; __asm__ volatile("" : REGISTER(s##k));
#define ADD(k) total += s##k[0];

typedef float vec __attribute__((vector_size(BYTES)));

static volatile float sink;

static void *loop(void *steps) {
    vec a = (vec){0} + 0.999f, b = (vec){0} + 0.001f;
    ALL(START)
    for (long i = *(long *)steps; i > 0; i--) { ALL(STEP) }
    float total = 0;
    ALL(ADD)
    sink = total;
    return 0;
}

double fma_loop(long steps, int threads) {
    pthread_t others[64];
    if (threads > 64) threads = 64;
    for (int t = 1; t < threads; t++) pthread_create(&others[t], 0, loop, &steps);
    loop(&steps);
    for (int t = 1; t < threads; t++) pthread_join(others[t], 0);
    return 2.0 * SUMS * (BYTES / sizeof(float)) * (double)steps * threads;
}
