/* The thread pool and per-thread scratch.
 *
 * Tasks are claimed from one counter, so a busy core takes fewer. A worker enters a job only while it is open, and the
 * caller closes it and waits for those inside: nobody has to answer a job that was over before it woke. Idle workers
 * spin for some tens of microseconds (a training step issues calls back to back) and then sleep on a condition. Workers
 * beyond the wanted number of threads sleep apart from these, where no job wakes them. */
#include "threads.h"

#include <stdatomic.h>
#include <stdlib.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#define MAX_THREADS 256
#define WORKER_SPIN_NS 50000 /* about what waking a sleeping thread costs */
#define CALLER_SPINS 4000

static struct {
  _Alignas(128) atomic_uint_fast64_t epoch;
  _Alignas(128) atomic_int_fast64_t next;
  _Alignas(128) atomic_int inside;
  _Alignas(128) atomic_int open;
  ft_task *task;
  void *arg;
  int64_t count;
  _Alignas(128) atomic_int sleepers;
  atomic_int active; /* threads that take part, the caller included */
  atomic_int quit;
  int workers;
  ft_thread thread[MAX_THREADS];
  ft_lock lock, caller;
  ft_condition wake, wanted;
} pool = {.active = 1,
          .lock = FT_LOCK_INIT,
          .caller = FT_LOCK_INIT,
          .wake = FT_CONDITION_INIT,
          .wanted = FT_CONDITION_INIT};

static _Thread_local struct {
  void *block[FT_SLOTS];
  size_t bytes[FT_SLOTS];
  int in_task;
} own;

void *ft_alloc(uint64_t bytes) {
  void *block = 0;
  int huge = bytes >= ((size_t)1 << 21);
  size_t align = huge ? (size_t)1 << 21 : 64;
  bytes = (bytes + align - 1) & ~(align - 1);
#if defined(_WIN32)
  block = _aligned_malloc(bytes ? bytes : align, align);
#else
  if (posix_memalign(&block, align, bytes ? bytes : align)) return 0;
#if defined(MADV_HUGEPAGE)
  if (huge) madvise(block, bytes, MADV_HUGEPAGE);
#endif
#endif
  return block;
}

void ft_release(void *block) {
#if defined(_WIN32)
  _aligned_free(block);
#else
  free(block);
#endif
}

void *ft_scratch(int slot, size_t bytes) {
  if (own.bytes[slot] < bytes) {
    bytes += bytes / 4;
    ft_release(own.block[slot]);
    own.block[slot] = ft_alloc(bytes);
    own.bytes[slot] = bytes;
    if (!own.block[slot]) abort(); /* a few hundred kilobytes: nothing sensible can continue without them */
  }
  return own.block[slot];
}

static void release_scratch(void) {
  for (int slot = 0; slot < FT_SLOTS; slot++) {
    ft_release(own.block[slot]);
    own.block[slot] = 0;
    own.bytes[slot] = 0;
  }
}

static void take_tasks(void) {
  own.in_task = 1;
  for (int64_t i; (i = atomic_fetch_add_explicit(&pool.next, 1, memory_order_relaxed)) < pool.count;)
    pool.task(pool.arg, i);
  own.in_task = 0;
}

/* until there is a job after number `seen`, or the pool ends */
static void await_job(uint_fast64_t seen) {
  int64_t since = 0;
  for (int look = 0;; look++) {
    if (atomic_load_explicit(&pool.epoch, memory_order_acquire) != seen || atomic_load(&pool.quit)) return;
    ft_relax();
    if (look % 64) continue;
    int64_t now = ft_now();
    if (!since) since = now;
    if (now - since > WORKER_SPIN_NS) break;
  }
  ft_lock_take(&pool.lock);
  atomic_fetch_add(&pool.sleepers, 1);
  while (atomic_load(&pool.epoch) == seen && !atomic_load(&pool.quit)) ft_wait(&pool.wake, &pool.lock);
  atomic_fetch_sub(&pool.sleepers, 1);
  ft_lock_leave(&pool.lock);
}

static void await_wanted(int id) {
  ft_lock_take(&pool.lock);
  while (id >= atomic_load(&pool.active) && !atomic_load(&pool.quit)) ft_wait(&pool.wanted, &pool.lock);
  ft_lock_leave(&pool.lock);
}

FT_THREAD_MAIN(worker) {
  int id = (int)(intptr_t)argument;
  uint_fast64_t seen = 0;
  for (;;) {
    if (id >= atomic_load(&pool.active)) await_wanted(id);
    await_job(seen);
    if (atomic_load(&pool.quit)) break;
    seen = atomic_load(&pool.epoch);
    if (id >= atomic_load(&pool.active)) continue;
    atomic_fetch_add(&pool.inside, 1);
    if (atomic_load(&pool.open)) take_tasks();
    atomic_fetch_sub(&pool.inside, 1);
  }
  release_scratch();
  return 0;
}

static void wake_all(void) {
  if (!atomic_load(&pool.sleepers)) return;
  ft_lock_take(&pool.lock);
  ft_wake_all(&pool.wake);
  ft_lock_leave(&pool.lock);
}

void ft_parallel(int64_t n, ft_task *task, void *arg) {
  /* serial: one task, one thread, inside a task already, or another caller holds the pool (the bytes are the same) */
  if (n <= 1 || own.in_task || atomic_load(&pool.active) <= 1 || !ft_lock_try(&pool.caller)) {
    for (int64_t i = 0; i < n; i++) task(arg, i);
    return;
  }
  pool.task = task;
  pool.arg = arg;
  pool.count = n;
  atomic_store(&pool.next, 0);
  atomic_store(&pool.open, 1);
  atomic_fetch_add(&pool.epoch, 1);
  wake_all();
  take_tasks();
  atomic_store(&pool.open, 0);
  for (int spin = 0; atomic_load(&pool.inside); spin++) {
    if (spin < CALLER_SPINS) ft_relax();
    else ft_yield();
  }
  ft_lock_leave(&pool.caller);
}

int ft_threads_active(void) { return own.in_task ? 1 : atomic_load(&pool.active); }

FT_EXPORT int ft_threads(void) { return atomic_load(&pool.active); }

FT_EXPORT int ft_init(int threads) {
  if (threads < 1) threads = 1;
  if (threads > MAX_THREADS) threads = MAX_THREADS;
  ft_lock_take(&pool.caller);
  if (threads > 1 && !pool.workers) ft_stay_loaded(&pool);
  while (pool.workers < threads - 1 &&
         ft_thread_start(&pool.thread[pool.workers], worker, (void *)(intptr_t)(pool.workers + 1)))
    pool.workers++;
  if (threads > pool.workers + 1) threads = pool.workers + 1;
  ft_lock_take(&pool.lock);
  atomic_store(&pool.active, threads);
  ft_wake_all(&pool.wanted);
  ft_lock_leave(&pool.lock);
  ft_lock_leave(&pool.caller);
  return threads;
}

FT_EXPORT void ft_shutdown(void) {
  ft_lock_take(&pool.caller);
  ft_lock_take(&pool.lock);
  atomic_store(&pool.quit, 1);
  ft_wake_all(&pool.wake);
  ft_wake_all(&pool.wanted);
  ft_lock_leave(&pool.lock);
  for (int i = 0; i < pool.workers; i++) ft_thread_join(pool.thread[i]);
  pool.workers = 0;
  atomic_store(&pool.active, 1);
  atomic_store(&pool.quit, 0);
  ft_lock_leave(&pool.caller);
  release_scratch();
}
