/* What every unit shares: names, exports, the thread pool's services. */
#ifndef FT_COMMON_H
#define FT_COMMON_H
#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define FT_EXPORT __declspec(dllexport)
#else
#define FT_EXPORT __attribute__((visibility("default")))
#endif

#define FT_INLINE static inline __attribute__((always_inline))
#define FT_MIN(a, b) ((a) < (b) ? (a) : (b))
#define FT_MAX(a, b) ((a) > (b) ? (a) : (b))
#define FT_CAT_(a, b) a##_##b
#define FT_CAT(a, b) FT_CAT_(a, b)
/* K(ft_add_f32) is ft_add_f32_avx2 in the unit compiled with -DFT_ISA=avx2 */
#define K(name) FT_CAT(name, FT_ISA)

/* Runs task(arg, i) for every i in [0, n), in no given order, on the pool; returns when all are done. How work is cut
 * into tasks must depend on shapes only wherever it can change a rounding. Inside a task it runs serially. */
typedef void ft_task(void *arg, int64_t i);
void ft_parallel(int64_t n, ft_task *task, void *arg);
int ft_threads_active(void); /* 1 inside a task */

extern int ft_matrix; /* products of bf16 run on the processor's matrix unit */

/* Aligned memory of at least `bytes` that stays with the calling thread; contents are undefined. One slot, one user. */
enum { FT_SLOT_PACK_A, FT_SLOT_PACK_B, FT_SLOT_TASK, FT_SLOT_SHARED, FT_SLOTS };
void *ft_scratch(int slot, size_t bytes);
void *ft_alloc(uint64_t bytes);
void ft_release(void *block);

#endif
