// As many float32 multiply-adds as the machine can do: independent accumulators in registers, no memory.
// fma_loop returns the floating-point operations done by all threads together.
#include <pthread.h>

#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif
#define ACCUMULATORS 12
#if defined(__x86_64__)
#define IN_REGISTER(x) __asm__ volatile("" : "+v"(x))
#else
#define IN_REGISTER(x) __asm__ volatile("" : "+w"(x))
#endif

typedef float vec __attribute__((vector_size(BYTES)));

static volatile float sink;

static void *loop(void *steps) {
    vec sum[ACCUMULATORS], a = (vec){0} + 0.999f, b = (vec){0} + 0.001f;
    for (int k = 0; k < ACCUMULATORS; k++) sum[k] = (vec){0} + (float)k;
    for (long i = *(long *)steps; i > 0; i--) {
#pragma GCC unroll 12
        for (int k = 0; k < ACCUMULATORS; k++) {
            sum[k] = sum[k] * a + b;
            IN_REGISTER(sum[k]);  // keeps the compiler from doing several steps in one
        }
    }
    float total = 0;
    for (int k = 0; k < ACCUMULATORS; k++) total += sum[k][0];
    sink = total;
    return 0;
}

double fma_loop(long steps, int threads) {
    pthread_t others[64];
    if (threads > 64) threads = 64;
    for (int t = 1; t < threads; t++) pthread_create(&others[t], 0, loop, &steps);
    loop(&steps);
    for (int t = 1; t < threads; t++) pthread_join(others[t], 0);
    return 2.0 * ACCUMULATORS * (BYTES / sizeof(float)) * (double)steps * threads;
}
