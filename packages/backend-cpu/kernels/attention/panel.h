/* What forward and backward share: panels, products of a panel, what a panel sees, and its weights.
 *
 * Everything is kept transposed. A panel holds NR queries side by side, so that a row of scores belongs to one key, and the
 * running maximum, the running sum and the mask of all NR queries are vectors: no sum or maximum runs across lanes. The
 * micro-kernels of the matrix product take keys and values where they lie; a panel of weights, as it is made, is an
 * operand of the next product. */
#ifndef FT_ATTENTION_PANEL_H
#define FT_ATTENTION_PANEL_H
#include "../gemm/pack.h"
#include "../gemm/tile.h"
#include "../vec.h"

#include <math.h>

#define ATT_QUERIES 64 /* in a block: a multiple of NR on every level */
#define ATT_KEYS 96    /* in a block, at most */
#define LOG2E 1.44269504088896340736

typedef struct {
  const float *q, *k, *v, *dy;
  const int32_t *segments, *start;
  float *y, *lse, *dq, *dk, *dv;
  float *part; /* backward: gradients of keys and values by query head */
  int64_t b, s, keys, h, hk, d; /* s queries at positions start[b]..., `keys` rows in k and v per batch item */
  float scale;
} attention;

/* Keys in a block: as many as keep a block of keys and one of values in 48 kB together, as far as measured the best for
 * d = 64 and d = 128. */
FT_INLINE int64_t key_block(int64_t d) { return FT_MAX(24, FT_MIN(ATT_KEYS, 6144 / d / 24 * 24)); }

/* c[m][NR] = alpha * a[m][k] . b[k][NR] (+ c), m rows in nearly equal tiles; family and strides of A as in tile.h */
FT_INLINE void strip(int family, int m, int64_t k, const float *a, int64_t ar, int64_t ak, const float *b, int64_t bk,
                     float *c, int64_t ldc, float alpha, int add) {
  int n = (m + MR - 1) / MR, height = n ? m / n : 0, taller = n ? m % n : 0;
  for (int i = 0; i < n; i++) {
    int mr = height + (i < taller);
    tiles[family][1][mr - 1](k, a, ar, ak, b, bk, c, ldc, alpha, add);
    a += family == PACKED ? mr * k : mr * ar;
    c += mr * ldc;
  }
}

/* rows[n][ld] as a panel d[w][NR]; queries that are not there become 0 */
FT_INLINE void pack_panel(const float *rows, int64_t ld, int64_t n, int64_t w, float *d) {
  if (n < NR) memset(d, 0, (size_t)(w * NR) * 4);
  pack_lines(rows, ld, n, w, d, NR);
}

/* Of the keys j0..j1 those that the n queries from position p on may see: [low, high). Returns whether every query sees
 * all of them. */
static int window(const int32_t *segments, int64_t p, int64_t n, int64_t j0, int64_t j1, int64_t *low, int64_t *high) {
  int64_t a = j0, z = FT_MIN(j1, p + n);
  int all = z - 1 <= p;
  if (segments && a < z) {
    int32_t least = segments[p], most = least;
    for (int64_t i = p + 1; i < p + n; i++) least = FT_MIN(least, segments[i]), most = FT_MAX(most, segments[i]);
    while (a < z && (segments[a] < least || segments[a] > most)) a++;
    while (a < z && (segments[z - 1] < least || segments[z - 1] > most)) z--;
    all &= least == most;
    for (int64_t j = a; all && j < z; j++) all = segments[j] == least;
  }
  *low = a;
  *high = FT_MAX(a, z);
  return all;
}

/* scores of unseen keys become -Inf; row 0 of scores[..][ld] belongs to key low */
static void hide(const int32_t *segments, int64_t p, int64_t n, int64_t low, int64_t high, float *score, int64_t ld) {
  int32_t lane[NR], mine[NR];
  for (int i = 0; i < NR; i++) lane[i] = i, mine[i] = segments && i < n ? segments[p + i] : 0;
  vi at0, at1, own0, own1;
  memcpy(&at0, lane, sizeof at0), memcpy(&at1, lane + VL, sizeof at1);
  memcpy(&own0, mine, sizeof own0), memcpy(&own1, mine + VL, sizeof own1);
  const vf never = splat(-INFINITY);
  for (int64_t j = low; j < high; j++, score += ld) {
    int32_t from = (int32_t)(j - p); /* the first lane that sees key j */
    vi seen0 = at0 >= from, seen1 = at1 >= from;
    if (segments) seen0 &= own0 == segments[j], seen1 &= own1 == segments[j];
    store(score, pick(seen0, load(score), never));
    store(score + VL, pick(seen1, load(score + VL), never));
  }
}

/* 2^x for x <= 127: 0 below 2^-126.5, where 2^n runs out of exponents, so that a hidden key weighs exactly 0. x is split
 * into an integer and |f| <= 1/2; the polynomial is the minimax one of degree 6, relative error 1.6e-8 before rounding.
 * Keeps NaN. */
FT_INLINE vf weight(vf x) {
  const vf magic = splat(12582912.0f + 127);
  x = vgreater(splat(-127), x);
  vf t = x + magic, f = x - (t - magic);
  vf p = splat(0x1.41d342p-13f);
  p = vfma(p, f, splat(0x1.5f456cp-10f));
  p = vfma(p, f, splat(0x1.3b2dbcp-7f));
  p = vfma(p, f, splat(0x1.c6aed4p-5f));
  p = vfma(p, f, splat(0x1.ebfbdap-3f));
  p = vfma(p, f, splat(0x1.62e430p-1f));
  p = vfma(p, f, splat(1));
  return p * (vf)((vu)t << 23);
}

FT_INLINE int any(vi mask) {
  int64_t part[VL / 2], all = 0;
  memcpy(part, &mask, sizeof part);
  for (int i = 0; i < VL / 2; i++) all |= part[i];
  return all != 0;
}
#endif
