/* What the parts of the matrix product share: block sizes, operands, how things are cut. */
#ifndef FT_GEMM_PRODUCT_H
#define FT_GEMM_PRODUCT_H
#include "../stored.h"

#if VL == 16
#define MR 14 /* 28 sums + 2 vectors of B + 1 broadcast, of 32 registers */
#elif defined(__aarch64__)
#define MR 12 /* 24 + 2 + broadcasts of 32 */
#elif defined(__wasm__)
#define MR 5 /* 10 + 2 + 1 + 1 product of the 15 that V8 hands out on x86: a sixth row spills and halves the speed */
#else
#define MR 6 /* 12 + 2 + 1 of 16 */
#endif
#define NR (2 * VL)
#ifndef GEMM_KC
#define GEMM_KC 320 /* longest block of K: a panel of B fits the first-level cache */
#endif
#ifndef GEMM_A_BYTES
#define GEMM_A_BYTES (240 << 10) /* packed rows of A: second-level cache */
#endif
#ifndef GEMM_B_BYTES
#define GEMM_B_BYTES (2 << 20) /* packed columns of B: last-level cache */
#endif
#define GEMM_DIRECT_TILES 3 /* up to so many row tiles B is read in place */
#define GEMM_THIN 8         /* up to so many rows: kernels without packing */

typedef struct {
  const float *p;
  int64_t outer, k; /* distance between neighbours along M or N, and along K */
  const stored *w;  /* where it must be unpacked (B only): the matrix; p is not used */
} operand;

typedef struct {
  int64_t M, N, K;
  operand A, B;
  float *C;
  int64_t ldc;
  float alpha;
  int beta;
  int pairs;     /* products of bf16: 2 of K in a word of a panel */
  int matrix;    /* on the matrix unit */
  int64_t height; /* most rows of a tile */
  int64_t words; /* K in words of a panel */
  int64_t blocks, tiles, panels, across_m, across_n; /* blocks of words, row tiles, column panels, grid of regions */
} product;

/* the start of part i when n things are cut into `parts` nearly equal parts */
FT_INLINE int64_t cut(int64_t n, int64_t parts, int64_t i) { return n / parts * i + FT_MIN(i, n % parts); }
FT_INLINE int64_t ceil_div(int64_t n, int64_t d) { return (n + d - 1) / d; }

#endif
