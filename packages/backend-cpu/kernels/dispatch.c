/* Picks an instruction set at run time and forwards every exported kernel to it. */
#include "common.h"
#include "cpu.h"

/* the instruction set that every processor of the architecture has: NEON on 64-bit ARM */
#if !defined(FT_BASE)
#define FT_BASE portable
#endif

typedef struct {
#define FT_KERNEL(result, name, params, args) result(*name) params;
#include "ft.h"
#undef FT_KERNEL
} table;

#define FT_KERNEL(result, name, params, args)                                                                          \
  result FT_CAT(name, FT_BASE) params;                                                                                \
  result FT_CAT(name, avx2) params;                                                                                    \
  result FT_CAT(name, avx512) params;                                                                                  \
  result FT_CAT(name, avx512bf16) params;
#include "ft.h"
#undef FT_KERNEL

static const table base = {
#define FT_KERNEL(result, name, params, args) FT_CAT(name, FT_BASE),
#include "ft.h"
#undef FT_KERNEL
};
#if defined(__x86_64__)
static const table avx2 = {
#define FT_KERNEL(result, name, params, args) FT_CAT(name, avx2),
#include "ft.h"
#undef FT_KERNEL
};
static const table avx512 = {
#define FT_KERNEL(result, name, params, args) FT_CAT(name, avx512),
#include "ft.h"
#undef FT_KERNEL
};
#if defined(FT_BF16) /* the compiler knows these instructions */
static const table avx512bf16 = {
#define FT_KERNEL(result, name, params, args) FT_CAT(name, avx512bf16),
#include "ft.h"
#undef FT_KERNEL
};
#endif
#endif

static const table *active;
static int active_level = -1;
int ft_matrix;

static int best_level(void) {
#if defined(__x86_64__)
  int features = cpu_features();
#if defined(FT_BF16)
  if (features & CPU_AMX_BF16) return 4;
  if (features & CPU_AVX512_BF16) return 3;
#endif
  if (features & CPU_AVX512) return 2;
  if (features & CPU_AVX2) return 1;
#endif
  return 0;
}

/* Asks for a level (0 portable or NEON, 1 AVX2 and FMA, 2 AVX-512, 3 the same with products of bf16, 4 those on the matrix unit;
 * negative: the best); returns the one now in use. Call it only while no kernel runs. */
FT_EXPORT int ft_select(int level) {
  int best = best_level(), wanted = level;
  if (level < 0 || level > best) level = best;
  active_level = level;
#if defined(FT_EMULATE_DOT)
  ft_matrix = wanted == 4; /* in plain C too */
#else
  ft_matrix = level == 4;
  (void)wanted;
#endif
#if defined(__x86_64__)
#if defined(FT_BF16)
  const table *const all[] = {&base, &avx2, &avx512, &avx512bf16, &avx512bf16};
#else
  const table *const all[] = {&base, &avx2, &avx512};
#endif
  active = all[level];
#else
  active = &base;
#endif
  return level;
}

FT_EXPORT int ft_level(void) { return active_level; }

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
FT_EXPORT const char *ft_abi(void) { return TEXT(FT_ABI); }

__attribute__((constructor)) static void start(void) { ft_select(-1); }

#define FT_KERNEL(result, name, params, args)                                                                          \
  FT_EXPORT result name params { return active->name args; }
#include "ft.h"
