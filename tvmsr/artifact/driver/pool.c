#define _GNU_SOURCE
#include "pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cpu.h"
#include "rounding.h"
#include "small.h"

SR_SMALL

/* Looks at a counter before a thread goes to sleep: a few steps of a small network long, so that the threads stay awake
 * through the short serial parts between steps (ABPN on two threads: 4 % faster than with 1000). */
#define SPINS 8000

/* A C library's types differ in size from library to library (musl, bionic), and one build runs on both: each gets room. */
typedef union {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    char room[128];
    long long align;
} sync_room;

/* A thread besides the caller. Asleep and moved change with the pool's lock held. */
typedef struct {
    pthread_t thread;
    atomic_int id; /* the system's, 0: not known */
    int asleep;
    int moved; /* it was kept off a CPU, and has yet to go back to `home` */
    sr_cpus home;
} sr_worker;

/* What is told to others before what they tell is looked at goes by exchange, not by store: an exchange is a barrier
 * of its own everywhere. QEMU 7's user mode, which is what runs 64-bit ARM containers on PCs, lets a load pass a
 * sequentially consistent store before it (1 in 20 in a loop), and a sleeper would be overlooked: a session that never
 * closes. */
static void tell(atomic_int *what, int value) { (void)atomic_exchange(what, value); }

/* What goes on, in one word: the task's number, whether threads may still join it, how many have and are not done. */
enum { ACTIVE = 0xFFFF, OPEN = 0x10000, NUMBER = 0x20000 };

struct sr_pool {
    sync_room lock, wake, finished;
    sr_task task;
    void *context;
    atomic_uint state;
    atomic_int sleepers;
    atomic_int waiting; /* the caller sleeps on `finished` */
    atomic_int stop;
    int workers; /* threads that run, without the caller */
    int wanted;
    int bound; /* workers keep to `cpus` */
    sr_cpus cpus;
    pid_t pid;
    sr_worker *threads;
    sr_pool *next; /* list of open pools */
};

typedef struct {
    sr_pool *pool;
    int worker;
} start_info;

static atomic_flag list_lock = ATOMIC_FLAG_INIT;
static sr_pool *open_pools;

static void pause_cpu(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || (defined(__ARM_ARCH) && __ARM_ARCH >= 7)
    __asm__ __volatile__("yield");
#endif
}

static void lock_list(void) {
    while (atomic_flag_test_and_set_explicit(&list_lock, memory_order_acquire)) pause_cpu();
}

static void unlock_list(void) { atomic_flag_clear_explicit(&list_lock, memory_order_release); }

static int is_news(sr_pool *pool, unsigned seen) {
    return atomic_load(&pool->state) / NUMBER != seen || atomic_load(&pool->stop);
}

/* Wait for another task than number `seen`: first awake, then asleep. A sleeper is counted before it looks again, and
 * sleepers are looked for after a task is announced, so that none sleeps past it. */
static void wait_for_news(sr_pool *pool, sr_worker *self, unsigned seen) {
    for (int i = 0; i < SPINS; i++) {
        if (is_news(pool, seen)) return;
        pause_cpu();
    }
    pthread_mutex_lock(&pool->lock.mutex);
    atomic_fetch_add(&pool->sleepers, 1);
    self->asleep = 1;
    while (!is_news(pool, seen)) pthread_cond_wait(&pool->wake.cond, &pool->lock.mutex);
    self->asleep = 0;
    atomic_fetch_sub(&pool->sleepers, 1);
    const int moved = self->moved;
    self->moved = 0;
    pthread_mutex_unlock(&pool->lock.mutex);
    if (moved) sr_cpus_bind(0, &self->home);
}

/* Sleepers wake on another CPU than the caller's. Where no CPU is idle at that moment (the second of two is still busy
 * with whoever asked for the picture), Linux may queue a sleeper behind the thread that wakes it, and the caller does
 * not stop before the work is done: the sleeper would come to find nothing left. (ABPN on two threads, asked for
 * through a pipe: 13.0 ms in the median instead of 17 to 19.) It is free to go anywhere again as soon as it runs. */
static void keep_off_caller(sr_pool *pool) {
    const int here = sr_cpu_here();
    for (int i = 0; here >= 0 && i < pool->workers; i++) {
        sr_worker *worker = &pool->threads[i];
        const int id = atomic_load(&worker->id);
        if (!worker->asleep || worker->moved || id == 0) continue;
        sr_cpus others;
        sr_cpus_allowed(id, &worker->home);
        others = worker->home;
        if (sr_cpus_remove(&others, here) > 0) worker->moved = sr_cpus_bind(id, &others);
    }
}

static void wake_sleepers(sr_pool *pool) {
    if (atomic_load(&pool->sleepers) == 0) return;
    pthread_mutex_lock(&pool->lock.mutex);
    keep_off_caller(pool);
    pthread_cond_broadcast(&pool->wake.cond);
    pthread_mutex_unlock(&pool->lock.mutex);
}

/* Join the current task if it is open: from then on the caller waits for us. */
static int join_task(sr_pool *pool, unsigned *seen) {
    unsigned state = atomic_load(&pool->state);
    while (state & OPEN) {
        if (atomic_compare_exchange_weak(&pool->state, &state, state + 1)) {
            *seen = state / NUMBER;
            return 1;
        }
    }
    *seen = state / NUMBER;
    return 0;
}

static void leave_task(sr_pool *pool) {
    const unsigned before = atomic_fetch_sub(&pool->state, 1);
    if ((before & ACTIVE) != 1 || (before & OPEN) || !atomic_load(&pool->waiting)) return;
    pthread_mutex_lock(&pool->lock.mutex);
    pthread_cond_signal(&pool->finished.cond);
    pthread_mutex_unlock(&pool->lock.mutex);
}

static void *worker_main(void *argument) {
    const start_info info = *(start_info *)argument;
    free(argument);
    sr_pool *pool = info.pool;
    sr_worker *self = &pool->threads[info.worker - 1];
    sr_rounding_set(SR_ROUNDING_DEFAULT);
    if (pool->bound) sr_cpus_bind(0, &pool->cpus);
    atomic_store(&self->id, sr_thread_id());
    unsigned seen = 0;
    while (!atomic_load(&pool->stop)) {
        if (join_task(pool, &seen)) {
            pool->task(pool->context, info.worker);
            leave_task(pool);
        }
        wait_for_news(pool, self, seen);
    }
    return NULL;
}

static int start_worker(sr_pool *pool, int index) {
    start_info *info = malloc(sizeof *info);
    if (info == NULL) return 0;
    *info = (start_info){pool, index + 1};
    pool->threads[index] = (sr_worker){0};
    if (pthread_create(&pool->threads[index].thread, NULL, worker_main, info) == 0) return 1;
    free(info);
    return 0;
}

/* Fresh locks and threads. The host's signals stay with its own threads. */
static void start(sr_pool *pool) {
    pthread_mutex_init(&pool->lock.mutex, NULL);
    pthread_cond_init(&pool->wake.cond, NULL);
    pthread_cond_init(&pool->finished.cond, NULL);
    atomic_init(&pool->state, 0);
    atomic_init(&pool->sleepers, 0);
    atomic_init(&pool->waiting, 0);
    atomic_init(&pool->stop, 0);
    pool->pid = getpid();
    pool->workers = 0;
    if (pool->wanted == 0) return;
    pool->bound = sr_cpus_for(pool->wanted + 1, &pool->cpus);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool->workers < pool->wanted && start_worker(pool, pool->workers)) pool->workers++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void stop(sr_pool *pool) {
    if (pool->pid != getpid() || pool->workers == 0) return; /* a fork's child has no threads to stop */
    tell(&pool->stop, 1);
    wake_sleepers(pool);
    for (int i = 0; i < pool->workers; i++) pthread_join(pool->threads[i].thread, NULL);
    pool->workers = 0;
}

sr_pool *sr_pool_open(int threads) {
    sr_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL) return NULL;
    pool->wanted = threads > 1 ? threads - 1 : 0;
    pool->threads = calloc((size_t)pool->wanted + 1, sizeof *pool->threads);
    if (pool->threads == NULL) {
        free(pool);
        return NULL;
    }
    start(pool);
    lock_list();
    pool->next = open_pools;
    open_pools = pool;
    unlock_list();
    return pool;
}

int sr_pool_threads(const sr_pool *pool) { return pool->workers + 1; }

void sr_pool_run(sr_pool *pool, sr_task task, void *context) {
    if (pool->workers == 0 || pool->pid != getpid()) {
        task(context, 0);
        return;
    }
    pool->task = task;
    pool->context = context;
    (void)atomic_exchange(&pool->state, (atomic_load(&pool->state) / NUMBER + 1) * NUMBER + OPEN);
    wake_sleepers(pool);
    task(context, 0);
    atomic_fetch_and(&pool->state, ~(unsigned)OPEN);
    for (int i = 0; i < SPINS; i++) {
        if ((atomic_load(&pool->state) & ACTIVE) == 0) return;
        pause_cpu();
    }
    pthread_mutex_lock(&pool->lock.mutex);
    tell(&pool->waiting, 1);
    while ((atomic_load(&pool->state) & ACTIVE) != 0) pthread_cond_wait(&pool->finished.cond, &pool->lock.mutex);
    atomic_store(&pool->waiting, 0);
    pthread_mutex_unlock(&pool->lock.mutex);
}

void sr_pool_revive(sr_pool *pool) {
    if (pool->pid != getpid()) start(pool);
}

void sr_pool_close(sr_pool *pool) {
    if (pool == NULL) return;
    lock_list();
    for (sr_pool **at = &open_pools; *at != NULL; at = &(*at)->next) {
        if (*at == pool) {
            *at = pool->next;
            break;
        }
    }
    unlock_list();
    stop(pool);
    if (pool->pid == getpid()) {
        pthread_mutex_destroy(&pool->lock.mutex);
        pthread_cond_destroy(&pool->wake.cond);
        pthread_cond_destroy(&pool->finished.cond);
    }
    free(pool->threads);
    free(pool);
}

/* The library goes away, or the process ends, with sessions open: no thread of ours may run in it any more. */
__attribute__((destructor)) static void stop_all(void) {
    for (sr_pool *pool = open_pools; pool != NULL; pool = pool->next) stop(pool);
}

SR_SMALL_END
