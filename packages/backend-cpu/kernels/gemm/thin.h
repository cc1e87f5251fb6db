/* Few rows: memory-bound, nothing is packed. */
#ifndef FT_GEMM_THIN_H
#define FT_GEMM_THIN_H
#include "product.h"

#define THIN_COLUMNS 32  /* of C in one task where B's rows are dotted: 576 and 192 of them are shared evenly by two threads */
#define THIN_STRIP 512   /* of C in one task where B's rows are added up */

/* mr rows of A against four rows of B (n of them real), K along memory in both */
FT_INLINE void dots(const int storage, const product *g, const stored *w, const int mr, int64_t r, int64_t c, int64_t n) {
  const float *a = g->A.p + r * g->A.outer;
  vf sum[3][4] = {{{0}}};
  const int64_t line = stored_line(storage);
  int64_t row[4], k = 0;
  for (int j = 0; j < 4; j++) row[j] = c + FT_MIN(j, n - 1);
  for (; k + VL <= g->K; k += VL) {
    vf x[4];
    /* rows are too short for the processor to foresee the next four; with four bits it has no time to spare for that */
    if (!is_4bit(storage) && k % line == 0)
      for (int j = 0; j < 4; j++) prefetch(storage, w, row[j] + 4, k);
    for (int j = 0; j < 4; j++) x[j] = fetch(storage, w, row[j], k);
    for (int i = 0; i < mr; i++) {
      vf s = load(a + i * g->A.outer + k);
      for (int j = 0; j < 4; j++) sum[i][j] = vfma(s, x[j], sum[i][j]);
    }
  }
  if (k < g->K)
    for (int j = 0; j < 4; j++) {
      vf x = fetch_n(storage, w, row[j], k, g->K - k);
      for (int i = 0; i < mr; i++) sum[i][j] = vfma(load_n(a + i * g->A.outer + k, g->K - k), x, sum[i][j]);
    }
  for (int i = 0; i < mr; i++)
    for (int j = 0; j < n; j++) {
      float *d = g->C + (r + i) * g->ldc + c + j, y = g->alpha * hsum(sum[i][j]);
      *d = g->beta ? y + *d : y;
    }
}

FT_INLINE void dots_as(const int storage, const product *g, const stored *w, int64_t from, int64_t end) {
  for (int64_t c = from; c < end; c += 4) {
    int64_t n = FT_MIN(4, end - c), r = 0;
    for (; r + 3 <= g->M; r += 3) dots(storage, g, w, 3, r, c, n);
    if (g->M - r == 2) dots(storage, g, w, 2, r, c, n);
    if (g->M - r == 1) dots(storage, g, w, 1, r, c, n);
  }
}

static void dots_task(void *arg, int64_t task) {
  const product *g = arg;
  stored plain = {g->B.p, g->B.outer, STORED_F32, 0, 0};
  const stored *w = g->B.w ? g->B.w : &plain;
  FOR_STORAGE(w, dots_as, g, w, task * THIN_COLUMNS, FT_MIN(g->N, (task + 1) * THIN_COLUMNS))
}

/* C's strip += a[k] * row k of B, four rows at a time */
static void strip_task(void *arg, int64_t task) {
  const product *g = arg;
  int64_t c0 = task * THIN_STRIP, n = FT_MIN(THIN_STRIP, g->N - c0);
  float sum[GEMM_THIN][THIN_STRIP], rows[4][THIN_STRIP]; /* rows of B, unpacked */
  for (int64_t i = 0; i < g->M; i++) memset(sum[i], 0, (size_t)n * 4);
  for (int64_t k = 0; k < g->K; k += 4) {
    int64_t some = FT_MIN(4, g->K - k);
    const float *b[4];
    for (int u = 0; u < 4; u++) {
      int64_t row = k + FT_MIN(u, some - 1);
      b[u] = g->B.p + row * g->B.k + c0;
      if (g->B.w) {
        if (u < some) unpack(g->B.w, row, c0, n, rows[u]);
        b[u] = rows[u];
      }
    }
    for (int64_t i = 0; i < g->M; i++) {
      const float *a = g->A.p + i * g->A.outer;
      if (some < 4) {
        for (int64_t u = 0; u < some; u++) {
          vf s = splat(a[(k + u) * g->A.k]);
          for (int64_t c = 0; c < n; c += VL) store_n(sum[i] + c, vfma(s, load_n(b[u] + c, n - c), load_n(sum[i] + c, n - c)), n - c);
        }
        continue;
      }
      vf s0 = splat(a[k * g->A.k]), s1 = splat(a[(k + 1) * g->A.k]);
      vf s2 = splat(a[(k + 2) * g->A.k]), s3 = splat(a[(k + 3) * g->A.k]);
      for (int64_t c = 0; c < n; c += VL) {
        int64_t m = n - c;
        vf x = vfma(s0, load_n(b[0] + c, m), load_n(sum[i] + c, m));
        x = vfma(s1, load_n(b[1] + c, m), x);
        x = vfma(s2, load_n(b[2] + c, m), x);
        store_n(sum[i] + c, vfma(s3, load_n(b[3] + c, m), x), m);
      }
    }
  }
  for (int64_t i = 0; i < g->M; i++) {
    float *d = g->C + i * g->ldc + c0;
    for (int64_t c = 0; c < n; c++) d[c] = g->beta ? g->alpha * sum[i][c] + d[c] : g->alpha * sum[i][c];
  }
}

#endif
