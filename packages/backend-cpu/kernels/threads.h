/* Threads as pool.c needs them: POSIX threads, or those of Windows (Vista and later, no runtime library beyond C's). */
#ifndef FT_THREADS_H
#define FT_THREADS_H
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* dladdr */
#endif
#include "common.h"

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <malloc.h>
#include <process.h>
#include <windows.h>

typedef HANDLE ft_thread;
typedef SRWLOCK ft_lock;
typedef CONDITION_VARIABLE ft_condition;
#define FT_LOCK_INIT SRWLOCK_INIT
#define FT_CONDITION_INIT CONDITION_VARIABLE_INIT
#define FT_THREAD_MAIN(name) static unsigned __stdcall name(void *argument)

static inline void ft_lock_take(ft_lock *lock) { AcquireSRWLockExclusive(lock); }
static inline int ft_lock_try(ft_lock *lock) { return TryAcquireSRWLockExclusive(lock) != 0; }
static inline void ft_lock_leave(ft_lock *lock) { ReleaseSRWLockExclusive(lock); }
static inline void ft_wait(ft_condition *c, ft_lock *lock) { SleepConditionVariableSRW(c, lock, INFINITE, 0); }
static inline void ft_wake_all(ft_condition *c) { WakeAllConditionVariable(c); }
static inline void ft_yield(void) { SwitchToThread(); }
static inline int ft_thread_start(ft_thread *thread, unsigned(__stdcall *run)(void *), void *argument) {
  *thread = (HANDLE)_beginthreadex(0, 0, run, argument, 0, 0);
  return *thread != 0;
}
static inline void ft_thread_join(ft_thread thread) {
  WaitForSingleObject(thread, INFINITE);
  CloseHandle(thread);
}
static inline int64_t ft_now(void) {
  LARGE_INTEGER frequency, ticks;
  QueryPerformanceFrequency(&frequency);
  QueryPerformanceCounter(&ticks);
  return (int64_t)((double)ticks.QuadPart * 1e9 / (double)frequency.QuadPart);
}
/* The threads' code must stay where it is, whoever else closes this library. */
static inline void ft_stay_loaded(const void *inside) {
  HMODULE self;
  GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, inside, &self);
}

#else
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

typedef pthread_t ft_thread;
typedef pthread_mutex_t ft_lock;
typedef pthread_cond_t ft_condition;
#define FT_LOCK_INIT PTHREAD_MUTEX_INITIALIZER
#define FT_CONDITION_INIT PTHREAD_COND_INITIALIZER
#define FT_THREAD_MAIN(name) static void *name(void *argument)

static inline void ft_lock_take(ft_lock *lock) { pthread_mutex_lock(lock); }
static inline int ft_lock_try(ft_lock *lock) { return pthread_mutex_trylock(lock) == 0; }
static inline void ft_lock_leave(ft_lock *lock) { pthread_mutex_unlock(lock); }
static inline void ft_wait(ft_condition *c, ft_lock *lock) { pthread_cond_wait(c, lock); }
static inline void ft_wake_all(ft_condition *c) { pthread_cond_broadcast(c); }
static inline void ft_yield(void) { sched_yield(); }
/* Signals stay with the threads of the host: a handler never runs in the middle of a kernel's task. */
static inline int ft_thread_start(ft_thread *thread, void *(*run)(void *), void *argument) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int failed = pthread_create(thread, 0, run, argument);
  pthread_sigmask(SIG_SETMASK, &before, 0);
  return !failed;
}
static inline void ft_thread_join(ft_thread thread) { pthread_join(thread, 0); }
static inline int64_t ft_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
/* The threads' code must stay where it is, whoever else closes this library. */
static inline void ft_stay_loaded(const void *inside) {
  Dl_info self;
  if (dladdr(inside, &self) && self.dli_fname) dlopen(self.dli_fname, RTLD_NOW | RTLD_NODELETE);
}
#endif

/* a breath between two looks at a shared variable */
FT_INLINE void ft_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb"); /* `yield` does nothing on most processors; this one waits some tens of cycles */
#endif
}

#endif
