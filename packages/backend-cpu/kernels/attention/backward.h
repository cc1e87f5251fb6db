/* Backward. With p = exp(score - lse) and D = sum over d of dy y (= sum over keys of p dp):
 *   dv += p^T dy;  dp = dy v^T;  ds = p (dp - D) scale;  dq += ds k;  dk += ds^T q
 * Gradients of keys and values are made for each query head alone and added up in the order of the heads, so that a
 * task may be a query head or all query heads of a key head: the bytes are the same. */
#ifndef FT_ATTENTION_BACKWARD_H
#define FT_ATTENTION_BACKWARD_H
#include "panel.h"

#define ATT_PANELS (ATT_QUERIES / NR)
#define ATT_STRIDE (ATT_QUERIES + 16) /* between rows of weights: no power of two, which would crowd few cache sets */

/* One block of queries of one head: operands in the shapes that the products want. Rows of d are padded to `wide`. */
typedef struct {
  int64_t p, n, panels, wide; /* first position, how many queries */
  float *qt, *dyt;            /* panels [d][NR] */
  float *q, *dy;              /* [wide / NR][n][NR] */
  float *dqt;                 /* panels [d][NR] */
  float *lse, *D;             /* [ATT_QUERIES] */
  float *weight, *ds;         /* [ATT_KEYS][ATT_STRIDE] */
  int started[ATT_PANELS];
} queries;

static size_t queries_floats(int64_t d, int64_t wide) {
  return (size_t)(ATT_QUERIES * (3 * d + 2 * wide + 2) + 2 * ATT_KEYS * ATT_STRIDE);
}

static void lay_out(queries *z, float *memory, int64_t d, int64_t wide) {
  z->wide = wide;
  z->weight = memory;
  z->ds = z->weight + ATT_KEYS * ATT_STRIDE;
  z->qt = z->ds + ATT_KEYS * ATT_STRIDE;
  z->dyt = z->qt + ATT_QUERIES * d;
  z->dqt = z->dyt + ATT_QUERIES * d;
  z->q = z->dqt + ATT_QUERIES * d;
  z->dy = z->q + ATT_QUERIES * wide;
  z->lse = z->dy + ATT_QUERIES * wide;
  z->D = z->lse + ATT_QUERIES;
}

static void pack_columns(const float *rows, int64_t ld, int64_t n, int64_t d, float *to) {
  for (int64_t c = 0; c < d; c += NR, to += n * NR) {
    if (d - c < NR) memset(to, 0, (size_t)(n * NR) * 4);
    pack_runs(rows + c, ld, FT_MIN(NR, d - c), n, to, NR);
  }
}

static void take_queries(const attention *g, queries *z, const float *q, const float *y, const float *dy,
                         const float *lse, int64_t p, int64_t n) {
  int64_t d = g->d, ld = g->h * d;
  z->p = p, z->n = n, z->panels = ceil_div(n, NR);
  for (int64_t i = 0; i < z->panels; i++) {
    int64_t some = FT_MIN(NR, n - i * NR);
    pack_panel(q + i * NR * ld, ld, some, d, z->qt + i * NR * d);
    pack_panel(dy + i * NR * ld, ld, some, d, z->dyt + i * NR * d);
    z->started[i] = 0;
  }
  pack_columns(q, ld, n, d, z->q);
  pack_columns(dy, ld, n, d, z->dy);
  for (int64_t i = 0; i < n; i++) {
    vf sum = {0};
    for (int64_t c = 0; c < d; c += VL)
      sum = vfma(load_n(dy + i * ld + c, d - c), load_n(y + i * ld + c, d - c), sum);
    z->D[i] = hsum(sum);
    z->lse[i] = (float)(lse[i] * LOG2E);
  }
  for (int64_t i = n; i < z->panels * NR; i++) z->D[i] = z->lse[i] = 0;
}

/* scores and dp of one panel become weights and ds */
static void differentiate(float *score, float *dp, int64_t n, const float *lse, const float *D) {
  const vf lse0 = load(lse), lse1 = load(lse + VL), D0 = load(D), D1 = load(D + VL), most = splat(127);
  for (int64_t j = 0; j < n; j++, score += ATT_STRIDE, dp += ATT_STRIDE) {
    vf p0 = weight(vless(most, load(score) - lse0)), p1 = weight(vless(most, load(score + VL) - lse1));
    store(score, p0);
    store(score + VL, p1);
    store(dp, p0 * (load(dp) - D0));
    store(dp + VL, p1 * (load(dp + VL) - D1));
  }
}

static void clear_rows(float *x, int64_t n) {
  for (int64_t j = 0; j < n; j++, x += ATT_STRIDE) memset(x, 0, NR * 4);
}

/* to[keys low..high][wide] += alpha * a[key][query] . b[query][wide]. A tile of keys starts at the first panel that may see
 * one of them. */
static void add_to_keys(const queries *z, int64_t j0, int64_t low, int64_t high, int64_t last, const float *a,
                        const float *b, float *to, float alpha) {
  int64_t end = FT_MIN(z->n, (last + 1) * NR);
  int m = (int)(high - low), parts = (m + MR - 1) / MR;
  for (int64_t c = 0; c < z->wide; c += NR, b += z->n * NR) {
    int64_t j = low;
    for (int i = 0; i < parts; i++) {
      int mr = m / parts + (i < m % parts);
      int64_t from = FT_MAX(0, j - z->p) & ~(int64_t)(NR - 1);
      if (from < end)
        tiles[ROWS][1][mr - 1](end - from, a + (j - j0) * ATT_STRIDE + from, ATT_STRIDE, 1, b + from * NR, NR,
                               to + j * z->wide + c, z->wide, alpha, 1);
      j += mr;
    }
  }
}

/* all gradients of one query head; dk and dv [s][wide] are this head's share */
static void attend_back(const attention *g, int64_t b, int64_t head, float *memory, float *dk, float *dv) {
  int64_t s = g->s, d = g->d, ldq = g->h * d, ldk = g->hk * d, at = (b * s * g->h + head) * d;
  int64_t wide = ceil_div(d, NR) * NR, kv = (b * s * g->hk + head / (g->h / g->hk)) * d;
  const int32_t *segments = g->segments ? g->segments + b * s : 0;
  const float *k = g->k + kv, *v = g->v + kv, *lse = g->lse + (b * g->h + head) * s;
  const int64_t block = key_block(d);
  queries z;
  lay_out(&z, memory, d, wide);
  memset(dk, 0, (size_t)(s * wide) * 4);
  memset(dv, 0, (size_t)(s * wide) * 4);
  for (int64_t i0 = 0; i0 < s; i0 += ATT_QUERIES) {
    int64_t n = FT_MIN(ATT_QUERIES, s - i0), from = at + i0 * ldq;
    take_queries(g, &z, g->q + from, g->y + from, g->dy + from, lse + i0, i0, n);
    for (int64_t j0 = 0; j0 < i0 + n; j0 += block) {
      int64_t j1 = FT_MIN(i0 + n, j0 + block), first = j1, end = j0, last = -1, low[ATT_PANELS], high[ATT_PANELS];
      int all[ATT_PANELS];
      for (int64_t i = 0; i < z.panels; i++) {
        all[i] = window(segments, i0 + i * NR, FT_MIN(NR, n - i * NR), j0, j1, low + i, high + i);
        if (high[i] == low[i]) continue;
        first = FT_MIN(first, low[i]), end = FT_MAX(end, high[i]), last = i;
      }
      for (int64_t i = 0; i <= last; i++) {
        float *score = z.weight + i * NR, *dp = z.ds + i * NR, *x = score + (low[i] - j0) * ATT_STRIDE;
        float *e = dp + (low[i] - j0) * ATT_STRIDE;
        int seen = (int)(high[i] - low[i]);
        clear_rows(score + (first - j0) * ATT_STRIDE, FT_MIN(low[i], end) - first);
        clear_rows(dp + (first - j0) * ATT_STRIDE, FT_MIN(low[i], end) - first);
        clear_rows(score + (high[i] - j0) * ATT_STRIDE, end - high[i]);
        clear_rows(dp + (high[i] - j0) * ATT_STRIDE, end - high[i]);
        if (!seen) continue;
        strip(ROWS, seen, d, k + low[i] * ldk, ldk, 1, z.qt + i * NR * d, NR, x, ATT_STRIDE, g->scale * (float)LOG2E, 0);
        strip(ROWS, seen, d, v + low[i] * ldk, ldk, 1, z.dyt + i * NR * d, NR, e, ATT_STRIDE, 1, 0);
        if (!all[i]) hide(segments, i0 + i * NR, FT_MIN(NR, n - i * NR), low[i], high[i], x, ATT_STRIDE);
        differentiate(x, e, seen, z.lse + i * NR, z.D + i * NR);
        strip(COLS, (int)d, seen, k + low[i] * ldk, 1, ldk, e, ATT_STRIDE, z.dqt + i * NR * d, NR, g->scale, z.started[i]);
        z.started[i] = 1;
      }
      if (last < 0) continue;
      add_to_keys(&z, j0, first, end, last, z.weight, z.dy, dv, 1);
      add_to_keys(&z, j0, first, end, last, z.ds, z.q, dk, g->scale);
    }
    for (int64_t i = 0; i < z.panels; i++)
      pack_lines(z.dqt + i * NR * d, NR, d, FT_MIN(NR, n - i * NR), g->dq + from + i * NR * ldq, ldq);
  }
}

/* to[s][d] of a key head (+)= part[s][wide] */
static void add_part(const attention *g, const float *part, int64_t j0, int64_t j1, int64_t wide, float *to, int add) {
  int64_t d = g->d, ld = g->hk * d;
  for (int64_t j = j0; j < j1; j++)
    for (int64_t c = 0; c < d; c += VL) {
      vf x = load_n(part + j * wide + c, d - c);
      store_n(to + j * ld + c, add ? load_n(to + j * ld + c, d - c) + x : x, d - c);
    }
}

/* one key head, its query heads in order */
static void key_head_task(void *arg, int64_t task) {
  const attention *g = arg;
  int64_t s = g->s, group = g->h / g->hk, b = task / g->hk, kv = task % g->hk, wide = ceil_div(g->d, NR) * NR;
  float *dk = ft_scratch(FT_SLOT_TASK, ((size_t)(2 * s * wide) + queries_floats(g->d, wide)) * 4), *dv = dk + s * wide;
  int64_t at = (b * s * g->hk + kv) * g->d;
  for (int64_t head = 0; head < group; head++) {
    attend_back(g, b, kv * group + head, dv + s * wide, dk, dv);
    add_part(g, dk, 0, s, wide, g->dk + at, head > 0);
    add_part(g, dv, 0, s, wide, g->dv + at, head > 0);
  }
}

static void query_head_task(void *arg, int64_t task) {
  const attention *g = arg;
  int64_t wide = ceil_div(g->d, NR) * NR, size = g->s * wide;
  float *memory = ft_scratch(FT_SLOT_TASK, queries_floats(g->d, wide) * 4);
  attend_back(g, task / g->h, task % g->h, memory, g->part + 2 * task * size, g->part + (2 * task + 1) * size);
}

static void add_parts_task(void *arg, int64_t task) {
  const attention *g = arg;
  int64_t blocks = ceil_div(g->s, ATT_QUERIES), group = g->h / g->hk, j0 = task % blocks * ATT_QUERIES;
  int64_t b = task / blocks / g->hk, kv = task / blocks % g->hk, wide = ceil_div(g->d, NR) * NR, size = g->s * wide;
  int64_t at = (b * g->s * g->hk + kv) * g->d, j1 = FT_MIN(g->s, j0 + ATT_QUERIES);
  for (int64_t head = 0; head < group; head++) {
    const float *part = g->part + 2 * (b * g->h + kv * group + head) * size;
    add_part(g, part, j0, j1, wide, g->dk + at, head > 0);
    add_part(g, part + size, j0, j1, wide, g->dv + at, head > 0);
  }
}
#endif
