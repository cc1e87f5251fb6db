/* Products of bf16 on the matrix unit of recent Intel processors (AMX). A matrix register is 16 rows of 16 words: 16 rows
 * of A with 32 of K, or 32 of K with 16 columns of B, which is what a panel of pairs is already. A is packed in lines. Two
 * registers of A times one or two of B add onto up to four of sums. Rows, columns and K are padded with zeros. */
#ifndef FT_GEMM_MATRIX_H
#define FT_GEMM_MATRIX_H
#include "pairs.h"

#if defined(FT_DOT) && NR % 16 == 0 && (defined(FT_EMULATE_DOT) || (defined(__linux__) && (defined(__clang__) || __GNUC__ >= 11)))
#define FT_MATRIX
#define MATRIX_ROWS 32

#if defined(FT_EMULATE_DOT)
FT_INLINE void matrix_begin(void) {}
FT_INLINE void matrix_end(void) {}
static void matrix_tile(int64_t words, const word *a, const word *b, int tall, int wide, float *out) {
  for (int i = 0; i < (tall ? 32 : 16); i++)
    for (int j = 0; j < (wide ? 32 : 16); j++) {
      float sum = 0;
      for (int64_t k = 0; k < words; k++)
        for (int half = 0; half < 32; half += 16) {
          uint32_t x = a[i * words + k] >> half << 16, y = b[k * NR + j] >> half << 16;
          float p, q;
          memcpy(&p, &x, 4), memcpy(&q, &y, 4);
          sum += p * q;
        }
      out[i * NR + j] = sum;
    }
}
#else
#define WITH_MATRIX __attribute__((target("amx-tile,amx-bf16")))
#define LOAD_MATRIX(register, at, stride)                                                                              \
  __asm__ volatile("tileloadd (%0,%1,1), %%" register ::"r"(at), "r"((int64_t)(stride)) : "memory")
#define STORE_MATRIX(register, at)                                                                                     \
  __asm__ volatile("tilestored %%" register ", (%0,%1,1)" ::"r"(at), "r"((int64_t)NR * 4) : "memory")
#define CLEAR_MATRIX(register) __asm__ volatile("tilezero %%" register ::)
#define MULTIPLY_MATRIX(b, a, sums) __asm__ volatile("tdpbf16ps %%" b ", %%" a ", %%" sums ::)

WITH_MATRIX static void matrix_begin(void) {
  struct {
    uint8_t palette, start, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
  } shape __attribute__((aligned(64))) = {.palette = 1};
  for (int i = 0; i < 8; i++) shape.row_bytes[i] = 64, shape.rows[i] = 16;
  __asm__ volatile("ldtilecfg %0" ::"m"(shape));
}
WITH_MATRIX static void matrix_end(void) { __asm__ volatile("tilerelease" ::); }

/* out[32][NR] = a[32][words] . b[words][NR]; the lower rows only if tall, the columns from 16 on only if wide */
WITH_MATRIX static void matrix_tile(int64_t words, const word *a, const word *b, int tall, int wide, float *out) {
  const word *below = tall ? a + 16 * words : a;
  CLEAR_MATRIX("tmm0");
  CLEAR_MATRIX("tmm1");
  CLEAR_MATRIX("tmm2");
  CLEAR_MATRIX("tmm3");
  for (int64_t k = 0; k < words; k += 16, b += 16 * NR) {
    LOAD_MATRIX("tmm4", a + k, words * 4);
    LOAD_MATRIX("tmm6", b, NR * 4);
    MULTIPLY_MATRIX("tmm6", "tmm4", "tmm0");
    if (wide) {
      LOAD_MATRIX("tmm7", b + 16, NR * 4);
      MULTIPLY_MATRIX("tmm7", "tmm4", "tmm1");
    }
    if (!tall) continue;
    LOAD_MATRIX("tmm5", below + k, words * 4);
    MULTIPLY_MATRIX("tmm6", "tmm5", "tmm2");
    if (wide) MULTIPLY_MATRIX("tmm7", "tmm5", "tmm3");
  }
  STORE_MATRIX("tmm0", out);
  if (wide) STORE_MATRIX("tmm1", out + 16);
  if (!tall) return;
  STORE_MATRIX("tmm2", out + 16 * NR);
  if (wide) STORE_MATRIX("tmm3", out + 16 * NR + 16);
}
#endif

FT_INLINE int64_t whole(int64_t words) { return (words + 15) & ~(int64_t)15; }

/* mr rows of A in lines of `width` words; zeros behind them, and below them to a multiple of 16 rows */
static void pack_matrix_rows(const operand *m, int64_t r, int64_t mr, int64_t k0, int64_t k, word *d, int64_t width) {
  int64_t words = (k + 1) / 2;
  stored plain = {m->p, m->outer, STORED_F32, 0, 0};
  memset(d + mr * width, 0, (size_t)(((mr + 15) & ~15) - mr) * (size_t)width * 4);
  if (m->k == 1)
    for (int64_t i = 0; i < mr; i++) line_pairs_as(STORED_F32, &plain, r + i, k0, k, d + i * width);
  else {
    float panel[MATRIX_ROWS * GEMM_KC];
    pack_pairs(m, r, mr, k0, k, panel, mr);
    pack_lines(panel, mr, words, mr, (float *)d, width);
  }
  for (int64_t i = 0; i < mr && words < width; i++) memset(d + i * width + words, 0, (size_t)(width - words) * 4);
}

/* C[mr, w] = alpha * sums (+ C) */
static void put_matrix(const product *g, const float *sums, float *c, int64_t mr, int64_t w, int add) {
  vf scale = splat(g->alpha);
  for (int64_t i = 0; i < mr; i++, c += g->ldc, sums += NR)
    for (int64_t j = 0; j < w; j += VL) {
      vf y = load(sums + j) * scale;
      if (add) y += load_n(c + j, w - j);
      store_n(c + j, y, w - j);
    }
}

/* row tiles t0..t1 times column panels p0..p1, all of K */
static void matrix_region(const product *g, int64_t t0, int64_t t1, int64_t p0, int64_t p1) {
  int64_t longest = whole(ceil_div(g->words, g->blocks));
  int64_t block_panels = FT_MAX(1, GEMM_B_BYTES / (longest * NR * 4 + 1));
  int64_t chunk_tiles = FT_MAX(1, GEMM_A_BYTES / (longest * MATRIX_ROWS * 4 + 1));
  int64_t column_blocks = ceil_div(p1 - p0, block_panels), chunks = ceil_div(t1 - t0, chunk_tiles);
  word *a_pack = ft_scratch(FT_SLOT_PACK_A, (size_t)(ceil_div(t1 - t0, chunks) * MATRIX_ROWS * longest) * 4);
  float *b_pack = ft_scratch(FT_SLOT_PACK_B, (size_t)(ceil_div(p1 - p0, column_blocks) * NR * longest) * 4);
  float sums[MATRIX_ROWS * NR] __attribute__((aligned(64)));

  matrix_begin();
  for (int64_t cb = 0; cb < column_blocks; cb++) {
    int64_t j0 = p0 + cut(p1 - p0, column_blocks, cb), j1 = p0 + cut(p1 - p0, column_blocks, cb + 1);
    for (int64_t q = 0; q < g->blocks; q++) {
      int64_t first = cut(g->words, g->blocks, q), words = cut(g->words, g->blocks, q + 1) - first, width = whole(words);
      int64_t k0 = 2 * first, k = FT_MIN(g->K, k0 + 2 * words) - k0;
      for (int64_t j = j0; j < j1; j++) {
        float *panel = b_pack + (j - j0) * NR * width;
        pack_pairs(&g->B, j * NR, FT_MIN(NR, g->N - j * NR), k0, k, panel, NR);
        memset(panel + words * NR, 0, (size_t)((width - words) * NR) * 4);
      }
      for (int64_t chunk = 0; chunk < chunks; chunk++) {
        int64_t i0 = t0 + cut(t1 - t0, chunks, chunk), i1 = t0 + cut(t1 - t0, chunks, chunk + 1);
        for (int64_t i = i0; i < i1; i++) {
          int64_t r = cut(g->M, g->tiles, i), mr = cut(g->M, g->tiles, i + 1) - r;
          pack_matrix_rows(&g->A, r, mr, k0, k, a_pack + (i - i0) * MATRIX_ROWS * width, width);
        }
        for (int64_t j = j0; j < j1; j++)
          for (int64_t i = i0; i < i1; i++) {
            int64_t r = cut(g->M, g->tiles, i), mr = cut(g->M, g->tiles, i + 1) - r, w = FT_MIN(NR, g->N - j * NR);
            const word *b = (const word *)(b_pack + (j - j0) * NR * width);
            matrix_tile(width, a_pack + (i - i0) * MATRIX_ROWS * width, b, mr > 16, w > 16, sums);
            put_matrix(g, sums, g->C + r * g->ldc + j * NR, mr, w, q > 0 || g->beta);
          }
      }
    }
  }
  matrix_end();
}
#endif
#endif
