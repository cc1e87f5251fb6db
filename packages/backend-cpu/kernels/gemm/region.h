/* The general product: packed blocks, cut into a grid of regions, one for each thread. */
#ifndef FT_GEMM_REGION_H
#define FT_GEMM_REGION_H
#include "matrix.h"
#include "pack.h"
#include "tile.h"

static void edge_tile(const product *g, tile_fn *f, int64_t k, const float *a, int64_t ar, int64_t ak, const float *b,
                      int64_t bk, float *c, int64_t mr, int64_t w, int add) {
  float buffer[MR * NR];
  for (int64_t i = 0; i < mr; i++)
    for (int64_t j = 0; j < NR; j++) buffer[i * NR + j] = add && j < w ? c[i * g->ldc + j] : 0;
  f(k, a, ar, ak, b, bk, buffer, NR, g->alpha, add);
  for (int64_t i = 0; i < mr; i++) memcpy(c + i * g->ldc, buffer + i * NR, (size_t)w * 4);
}

FT_INLINE void pack_block(const product *g, const operand *m, int64_t i0, int64_t w, int64_t k0, int64_t k, float *d,
                          int64_t stride) {
#ifdef FT_DOT
  if (g->pairs) {
    pack_pairs(m, i0, w, k0, k, d, stride);
    return;
  }
#endif
  (void)g;
  pack(m, i0, w, k0, k, d, stride);
}

/* row tiles t0..t1 times column panels p0..p1, all of K */
static void region(const product *g, int64_t t0, int64_t t1, int64_t p0, int64_t p1) {
  int64_t longest = ceil_div(g->words, g->blocks);
  int64_t block_panels = FT_MAX(1, GEMM_B_BYTES / (longest * NR * 4 + 1));
  int64_t chunk_tiles = FT_MAX(1, GEMM_A_BYTES / (longest * MR * 4 + 1));
  int64_t column_blocks = ceil_div(p1 - p0, block_panels), chunks = ceil_div(t1 - t0, chunk_tiles);
  int a_in_place = !g->pairs && p1 - p0 == 1 && (g->A.k == 1 || g->A.outer == 1);
  int b_in_place = !g->pairs && g->B.outer == 1 && !g->B.w && t1 - t0 <= GEMM_DIRECT_TILES;
  int family = g->pairs ? PAIRS : !a_in_place ? PACKED : g->A.k == 1 ? ROWS : COLS;
  float *a_pack = a_in_place ? 0 : ft_scratch(FT_SLOT_PACK_A, (size_t)(ceil_div(t1 - t0, chunks) * MR * longest + 64) * 4);
  float *b_pack = ft_scratch(FT_SLOT_PACK_B, (size_t)(ceil_div(p1 - p0, column_blocks) * NR * longest + 64) * 4);

  for (int64_t cb = 0; cb < column_blocks; cb++) {
    int64_t j0 = p0 + cut(p1 - p0, column_blocks, cb), j1 = p0 + cut(p1 - p0, column_blocks, cb + 1);
    for (int64_t q = 0; q < g->blocks; q++) {
      int64_t word = cut(g->words, g->blocks, q), words = cut(g->words, g->blocks, q + 1) - word;
      int64_t k0 = word << g->pairs, k = FT_MIN(g->K, (word + words) << g->pairs) - k0;
      int add = q > 0 || g->beta;
      for (int64_t j = j0; j < j1; j++) {
        int64_t w = FT_MIN(NR, g->N - j * NR);
        if (!b_in_place || w % VL) pack_block(g, &g->B, j * NR, w, k0, k, b_pack + (j - j0) * NR * words, NR);
      }
      for (int64_t chunk = 0; chunk < chunks; chunk++) {
        int64_t i0 = t0 + cut(t1 - t0, chunks, chunk), i1 = t0 + cut(t1 - t0, chunks, chunk + 1);
        int64_t first = cut(g->M, g->tiles, i0);
        if (!a_in_place)
          for (int64_t i = i0; i < i1; i++) {
            int64_t r = cut(g->M, g->tiles, i), mr = cut(g->M, g->tiles, i + 1) - r;
            pack_block(g, &g->A, r, mr, k0, k, a_pack + (r - first) * words, mr);
          }
        for (int64_t j = j0; j < j1; j++) {
          int64_t w = FT_MIN(NR, g->N - j * NR), bk = NR;
          const float *b = b_pack + (j - j0) * NR * words;
          if (b_in_place && w % VL == 0) b = g->B.p + k0 * g->B.k + j * NR, bk = g->B.k;
          for (int64_t i = i0; i < i1; i++) {
            int64_t r = cut(g->M, g->tiles, i), mr = cut(g->M, g->tiles, i + 1) - r;
            const float *a = a_in_place ? g->A.p + r * g->A.outer + k0 * g->A.k : a_pack + (r - first) * words;
            tile_fn *f = tiles[family][w > VL][mr - 1];
            float *c = g->C + r * g->ldc + j * NR;
            if (w % VL == 0) f(words, a, g->A.outer, g->A.k, b, bk, c, g->ldc, g->alpha, add);
            else edge_tile(g, f, words, a, g->A.outer, g->A.k, b, bk, c, mr, w, add);
          }
        }
      }
    }
  }
}

static void region_task(void *arg, int64_t i) {
  const product *g = arg;
  int64_t m = i / g->across_n, n = i % g->across_n;
  int64_t t0 = cut(g->tiles, g->across_m, m), t1 = cut(g->tiles, g->across_m, m + 1);
  int64_t p0 = cut(g->panels, g->across_n, n), p1 = cut(g->panels, g->across_n, n + 1);
#ifdef FT_MATRIX
  if (g->matrix) {
    matrix_region(g, t0, t1, p0, p1);
    return;
  }
#endif
  region(g, t0, t1, p0, p1);
}

/* The grid of regions with the least work for the busiest thread; packing counts: A is packed once in every column of the
 * grid, B once in every row. 20 is the price of packing an element in multiply-adds, divided by the usual K over K. */
static void choose_grid(product *g, int threads) {
  double best = 1e300;
  g->across_m = g->across_n = 1;
  for (int used = threads, found = 0; used > 0 && !found; used--)
    for (int m = 1; m <= used; m++) {
      int n = used / m;
      if (m * n != used || m > g->tiles || n > g->panels) continue;
      double rows = (double)(ceil_div(g->tiles, m) * g->height), columns = (double)ceil_div(g->panels, n) * NR;
      double cost = rows * columns + 20 * (rows + columns);
      if (cost < best) best = cost, g->across_m = m, g->across_n = n;
      found = 1;
    }
}

#endif
