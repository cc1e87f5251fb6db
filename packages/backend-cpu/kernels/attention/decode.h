/* Attention of single tokens over a cache. */
#ifndef FT_ATTENTION_DECODE_H
#define FT_ATTENTION_DECODE_H
#include "panel.h"

/* one query of one head against the cache: bound by reading it */
static void decode_task(void *arg, int64_t task) {
  const attention *g = arg;
  int64_t head = task % g->h, row = task / g->h, b = row / g->s, n = g->start[b] + row % g->s + 1, d = g->d, ldk = g->hk * d;
  const float *q = g->q + task * d;
  const float *k = g->k + (b * g->keys * g->hk + head / (g->h / g->hk)) * d;
  const float *v = g->v + (b * g->keys * g->hk + head / (g->h / g->hk)) * d;
  float *score = ft_scratch(FT_SLOT_TASK, (size_t)n * 4), *y = g->y + task * d, top = -INFINITY;
  for (int64_t j = 0; j < n; j += 4) {
    const float *key[4];
    vf sum[4] = {{0}};
    for (int u = 0; u < 4; u++) key[u] = k + FT_MIN(j + u, n - 1) * ldk;
    for (int64_t c = 0; c < d; c += VL) {
      vf x = load_n(q + c, d - c);
      for (int u = 0; u < 4; u++) sum[u] = vfma(x, load_n(key[u] + c, d - c), sum[u]);
    }
    for (int64_t u = 0; u < 4 && j + u < n; u++) {
      float s = hsum(sum[u]) * g->scale;
      score[j + u] = s;
      top = s > top || s != s ? s : top;
    }
  }
  float base = top == -INFINITY ? 0 : top, total = 0;
  for (int64_t j = 0; j < n; j += VL) {
    vf p = vexp(load_n(score + j, n - j) - base);
    store_n(score + j, p, n - j);
  }
  for (int64_t j = 0; j < n; j++) total += score[j];
  for (int64_t c = 0; c < d; c += 4 * VL) {
    vf sum[4] = {{0}};
    if (d - c >= 4 * VL) {
      for (int64_t j = 0; j < n; j++) {
        vf p = splat(score[j]);
        for (int u = 0; u < 4; u++) sum[u] = vfma(p, load(v + j * ldk + c + u * VL), sum[u]);
      }
      for (int u = 0; u < 4; u++) store(y + c + u * VL, sum[u] / total);
    } else {
      for (int64_t e = c; e < d; e += VL) {
        vf x = {0};
        for (int64_t j = 0; j < n; j++) x = vfma(splat(score[j]), load_n(v + j * ldk + e, d - e), x);
        store_n(y + e, x / total, d - e);
      }
    }
  }
}
#endif
