"""The threads that share one kernel on the CPU, in C++: one that waits spins for a while before it sleeps.

So it begins within a microsecond in most of a step's kernels; one that sleeps begins some 35 µs late, and Python's own
threads begin later than many kernels end. One call at a time has the threads: who calls meanwhile, from another thread
of the user's, computes alone. A child of a fork starts its own.
"""

POOL = """\
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

typedef int Kernel(char* const*, const double*, const long long*, long long, long long);
typedef unsigned long long State;

// The work that is shared: pieces of neighbouring parts, the next of which begins at `next`
static Kernel* kernel;
static char* const* arrays;
static const double* reals;
static const long long* sizes;
static long long parts, piece, next;
static int failed;

// Its number << 16 | how many threads are in it << 1 | whether others may enter
static State state;
static int begun, wanted, asleep, forks = -1;  // `forks` is 0 once a child of a fork starts anew
static pthread_mutex_t busy = PTHREAD_MUTEX_INITIALIZER;  // held by whose work it is
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static inline void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

static long long nanoseconds() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static void take_part() {
    for (;;) {
        const long long first = __atomic_fetch_add(&next, piece, __ATOMIC_RELAXED);
        if (first >= parts) return;
        const long long last = first + piece < parts ? first + piece : parts;
        if (kernel(arrays, reals, sizes, first, last)) __atomic_store_n(&failed, 1, __ATOMIC_RELAXED);
    }
}

// Whether there is work for a thread that has not done it yet.
static bool may_enter(State& now, State done, int number) {
    now = __atomic_load_n(&state, __ATOMIC_SEQ_CST);
    return now & 1 && now >> 16 != done && number < __atomic_load_n(&wanted, __ATOMIC_RELAXED);
}

static State next_work(State done, int number) {
    State now;
    for (long long end = nanoseconds() + SPIN; nanoseconds() < end;)
        for (int i = 0; i < 32; ++i, relax())
            if (may_enter(now, done, number)) return now;
    pthread_mutex_lock(&lock);
    __atomic_add_fetch(&asleep, 1, __ATOMIC_SEQ_CST);
    while (!may_enter(now, done, number)) pthread_cond_wait(&changed, &lock);
    __atomic_sub_fetch(&asleep, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&lock);
    return now;
}

static void* helper(void* number) {
    for (State done = 0;;) {
        State now = next_work(done, (int)(long)number);
        if (!__atomic_compare_exchange_n(&state, &now, now + 2, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) continue;
        done = now >> 16;
        take_part();
        __atomic_sub_fetch(&state, 2, __ATOMIC_RELEASE);
    }
}

static void after_fork() {
    begun = asleep = 0;
    state = 0;
    busy = lock = PTHREAD_MUTEX_INITIALIZER;
    changed = PTHREAD_COND_INITIALIZER;
}

// Have so many helpers, or as many as there can be; signals are for the threads of the user's.
static void begin(int number) {
    if (forks) forks = pthread_atfork(nullptr, nullptr, after_fork);
    sigset_t all, before;
    pthread_attr_t detached;
    pthread_t made;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    while (!forks && begun < number && !pthread_create(&made, &detached, helper, (void*)(long)begun)) ++begun;
    pthread_attr_destroy(&detached);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

extern "C" __attribute__((visibility("default"))) int autograd_gpu_share(
    Kernel* own, char* const* own_arrays, const double* own_reals, const long long* own_sizes, long long own_parts,
    long long own_piece, int threads) {
    if (pthread_mutex_trylock(&busy)) return own(own_arrays, own_reals, own_sizes, 0, own_parts);
    if (begun < threads - 1) begin(threads - 1);
    kernel = own, arrays = own_arrays, reals = own_reals, sizes = own_sizes, parts = own_parts, piece = own_piece;
    next = failed = 0;
    __atomic_store_n(&wanted, threads - 1, __ATOMIC_RELAXED);
    __atomic_store_n(&state, ((__atomic_load_n(&state, __ATOMIC_RELAXED) >> 16) + 1) << 16 | 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&asleep, __ATOMIC_SEQ_CST)) {
        pthread_mutex_lock(&lock);
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
    }
    take_part();
    __atomic_and_fetch(&state, ~State(1), __ATOMIC_SEQ_CST);
    for (int i = 1; __atomic_load_n(&state, __ATOMIC_ACQUIRE) & 0xffff; ++i)
        if (i % 1024) relax(); else sched_yield();
    const int result = failed;
    pthread_mutex_unlock(&busy);
    return result;
}
"""
