/* Forward: running maximum and sum of each query over blocks of keys. */
#ifndef FT_ATTENTION_FORWARD_H
#define FT_ATTENTION_FORWARD_H
#include "panel.h"

typedef struct {
  float top[NR], sum[NR]; /* top in units of log 2 */
  int started;
} running;

/* score[n][NR] become weights against the new maximum; what was summed before must be multiplied by keep when the return
 * value is not 0. A NaN is no maximum, but its weight is NaN. */
static int weigh(float *score, int64_t n, running *r, float keep[NR]) {
  vf old0 = r->started ? load(r->top) : splat(-INFINITY), old1 = r->started ? load(r->top + VL) : splat(-INFINITY);
  vf top0 = old0, top1 = old1, sum0 = {0}, sum1 = {0};
  for (int64_t j = 0; j < n; j++) {
    top0 = vgreater(load(score + j * NR), top0);
    top1 = vgreater(load(score + j * NR + VL), top1);
  }
  vf base0 = pick(top0 == -INFINITY, (vf){0}, top0), base1 = pick(top1 == -INFINITY, (vf){0}, top1);
  for (int64_t j = 0; j < n; j++) {
    vf p0 = weight(load(score + j * NR) - base0), p1 = weight(load(score + j * NR + VL) - base1);
    store(score + j * NR, p0);
    store(score + j * NR + VL, p1);
    sum0 += p0;
    sum1 += p1;
  }
  int changed = r->started && any((old0 != top0) | (old1 != top1));
  if (changed) {
    vf keep0 = weight(old0 - base0), keep1 = weight(old1 - base1);
    store(keep, keep0);
    store(keep + VL, keep1);
    sum0 = load(r->sum) * keep0 + sum0;
    sum1 = load(r->sum + VL) * keep1 + sum1;
  } else if (r->started) {
    sum0 = load(r->sum) + sum0;
    sum1 = load(r->sum + VL) + sum1;
  }
  store(r->top, top0);
  store(r->top + VL, top1);
  store(r->sum, sum0);
  store(r->sum + VL, sum1);
  r->started = 1;
  return changed;
}

FT_INLINE void multiply_columns(float *x, int64_t n, const float by[NR]) {
  vf a = load(by), b = load(by + VL);
  for (int64_t i = 0; i < n; i++, x += NR) store(x, load(x) * a), store(x + VL, load(x + VL) * b);
}

/* queries q (nq rows, at positions p0..) of one head of one batch item against all their keys */
static void attend(const attention *g, const float *q, int64_t p0, int64_t nq, const float *k, const float *v,
                   const int32_t *segments, float *y, float *lse) {
  int64_t d = g->d, ldq = g->h * d, ldk = g->hk * d, end = p0 + nq, panels = ceil_div(nq, NR);
  const int64_t block = key_block(d);
  float *qt = ft_scratch(FT_SLOT_TASK, (size_t)(2 * ATT_QUERIES * d + ATT_KEYS * NR) * 4), *out = qt + ATT_QUERIES * d;
  float *score = out + ATT_QUERIES * d, keep[NR];
  running state[ATT_QUERIES / NR] = {0};
  for (int64_t i = 0; i < panels; i++) pack_panel(q + i * NR * ldq, ldq, FT_MIN(NR, nq - i * NR), d, qt + i * NR * d);

  for (int64_t j0 = 0; j0 < end; j0 += block)
    for (int64_t i = 0; i < panels; i++) {
      int64_t p = p0 + i * NR, n = FT_MIN(NR, end - p), low, high;
      float *o = out + i * NR * d;
      running *r = state + i;
      int all = window(segments, p, n, j0, FT_MIN(end, j0 + block), &low, &high), seen = (int)(high - low);
      if (!seen) continue;
      strip(ROWS, seen, d, k + low * ldk, ldk, 1, qt + i * NR * d, NR, score, NR, g->scale * (float)LOG2E, 0);
      if (!all) hide(segments, p, n, low, high, score, NR);
      int started = r->started;
      if (weigh(score, seen, r, keep)) multiply_columns(o, d, keep);
      strip(COLS, (int)d, seen, v + low * ldk, 1, ldk, score, NR, o, NR, 1, started);
    }
  for (int64_t i = 0; i < panels; i++) {
    int64_t n = FT_MIN(NR, nq - i * NR);
    for (int64_t u = 0; u < NR; u++) keep[u] = 1.0f / state[i].sum[u];
    multiply_columns(out + i * NR * d, d, keep);
    pack_lines(out + i * NR * d, NR, d, n, y + i * NR * ldq, ldq);
    if (lse)
      for (int64_t u = 0; u < n; u++) lse[i * NR + u] = (float)(state[i].top[u] / LOG2E + log(state[i].sum[u]));
  }
}

static void attention_fwd_task(void *arg, int64_t task) {
  const attention *g = arg;
  int64_t blocks = ceil_div(g->s, ATT_QUERIES);
  /* late blocks see most keys: they come first, so that no thread is left with a long one at the end; heads that share
   * keys follow each other */
  int64_t i0 = (blocks - 1 - task / (g->b * g->h)) * ATT_QUERIES, bh = task % (g->b * g->h), b = bh / g->h, head = bh % g->h;
  int64_t kv = (b * g->keys * g->hk + head / (g->h / g->hk)) * g->d, at = ((b * g->s + i0) * g->h + head) * g->d;
  attend(g, g->q + at, (g->start ? g->start[b] : 0) + i0, FT_MIN(ATT_QUERIES, g->s - i0), g->k + kv, g->v + kv,
         g->segments ? g->segments + b * g->s : 0, g->y + at, g->lse ? g->lse + bh * g->s + i0 : 0);
}
#endif
