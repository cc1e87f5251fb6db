/* Causal attention with segments and grouped heads, in tiles of 64 queries by 64 keys (FlashAttention: Dao et al. 2022,
 * arXiv 2205.14135): running maximum and sum per row, scores recomputed in the backward pass from the stored log-sum-exp.
 * The products of a tile go through the matrix product of gemm.c. Tiles that the causal order or the segments mask
 * entirely are skipped; a masked weight is exactly 0, so other segments cannot change a bit. */

#define TILE 64

typedef struct {
  const float *q, *k, *v, *dy;
  const int32_t *segments, *start;
  float *y, *lse, *dq, *dk, *dv;
  int64_t b, s, keys, h, hk, d; /* s queries at positions start[b]..., `keys` rows in k and v per batch item */
  float scale;
} attention;

enum { TILE_NONE, TILE_ALL, TILE_SOME };

static void segment_range(const int32_t *segments, int64_t n, int32_t *low, int32_t *high) {
  *low = *high = segments[0];
  for (int64_t i = 1; i < n; i++) {
    *low = FT_MIN(*low, segments[i]);
    *high = FT_MAX(*high, segments[i]);
  }
}

/* what queries at positions p0.. (nq of them) see of the keys j0.. (nk) */
static int tile_kind(const int32_t *segments, int64_t p0, int64_t nq, int64_t j0, int64_t nk) {
  int kind = j0 + nk - 1 <= p0 ? TILE_ALL : TILE_SOME;
  if (segments) {
    int32_t q_low, q_high, k_low, k_high;
    segment_range(segments + p0, nq, &q_low, &q_high);
    segment_range(segments + j0, nk, &k_low, &k_high);
    if (q_low > k_high || k_low > q_high) return TILE_NONE;
    if (q_low != q_high || k_low != k_high) return TILE_SOME;
  }
  return kind;
}

FT_INLINE int sees(const int32_t *segments, int64_t i, int64_t j) {
  return j <= i && (!segments || segments[i] == segments[j]);
}

/* queries q (nq rows, at positions p0..) of one head of one batch item against all their keys */
static void attend(const attention *g, const float *q, int64_t p0, int64_t nq, const float *k, const float *v,
                   const int32_t *segments, float *y, float *lse) {
  int64_t d = g->d, ldq = g->h * d, ldk = g->hk * d, end = p0 + nq;
  float *score = ft_scratch(FT_SLOT_TASK, (size_t)(TILE * TILE + TILE * d) * 4), *out = score + TILE * TILE;
  float top[TILE], sum[TILE];
  memset(out, 0, (size_t)(nq * d) * 4);
  for (int64_t i = 0; i < nq; i++) top[i] = -INFINITY, sum[i] = 0;

  for (int64_t j0 = 0; j0 < end; j0 += TILE) {
    int64_t nk = FT_MIN(TILE, end - j0);
    int kind = tile_kind(segments, p0, nq, j0, nk);
    if (kind == TILE_NONE) continue;
    gemm_call(nq, nk, d, q, ldq, 0, k + j0 * ldk, ldk, 1, score, TILE, g->scale, 0);
    for (int64_t i = 0; i < nq; i++) {
      float *row = score + i * TILE;
      if (kind == TILE_SOME)
        for (int64_t j = 0; j < nk; j++)
          if (!sees(segments, p0 + i, j0 + j)) row[j] = -INFINITY;
      vf high = splat(-INFINITY);
      int64_t j = 0;
      for (; j + VL <= nk; j += VL) high = vmax(high, load(row + j));
      float m = hmax(high);
      for (; j < nk; j++) m = row[j] > m || row[j] != row[j] ? row[j] : m;
      m = m > top[i] || m != m ? m : top[i];
      float base = m == -INFINITY ? 0 : m; /* nothing seen yet: all weights become 0, none NaN */
      vf total = {0};
      for (j = 0; j + VL <= nk; j += VL) {
        vf p = vexp(load(row + j) - base);
        store(row + j, p);
        total += p;
      }
      if (j < nk) {
        float tail[VL];
        vf p = vexp(load_n(row + j, nk - j) - base);
        store(tail, p);
        for (int64_t u = nk - j; u < VL; u++) tail[u] = 0;
        total += load(tail);
        store_n(row + j, p, nk - j);
      }
      float keep = top[i] == m ? 1.0f : expf(top[i] - base);
      sum[i] = sum[i] * keep + hsum(total);
      top[i] = m;
      if (keep != 1.0f)
        for (int64_t c = 0; c < d; c += VL) store_n(out + i * d + c, load_n(out + i * d + c, d - c) * keep, d - c);
    }
    gemm_call(nq, d, nk, score, TILE, 0, v + j0 * ldk, ldk, 0, out, d, 1, 1);
  }
  for (int64_t i = 0; i < nq; i++) {
    float inverse = 1.0f / sum[i];
    for (int64_t c = 0; c < d; c += VL) store_n(y + i * ldq + c, load_n(out + i * d + c, d - c) * inverse, d - c);
    if (lse) lse[i] = top[i] + logf(sum[i]);
  }
}

static void attention_fwd_task(void *arg, int64_t task) {
  const attention *g = arg;
  int64_t blocks = ceil_div(g->s, TILE);
  /* late blocks see most keys: they come first, so that no thread is left with a long one at the end */
  int64_t i0 = (blocks - 1 - task / (g->b * g->h)) * TILE, bh = task % (g->b * g->h), b = bh / g->h, head = bh % g->h;
  int64_t kv = (b * g->keys * g->hk + head / (g->h / g->hk)) * g->d, at = ((b * g->s + i0) * g->h + head) * g->d;
  attend(g, g->q + at, (g->start ? g->start[b] : 0) + i0, FT_MIN(TILE, g->s - i0), g->k + kv, g->v + kv,
         g->segments ? g->segments + b * g->s : 0, g->y + at, g->lse ? g->lse + bh * g->s + i0 : 0);
}

void K(ft_attention_fwd)(const float *q, const float *k, const float *v, const int32_t *segments, int64_t b, int64_t s,
                         int64_t h, int64_t hk, int64_t d, float scale, float *y, float *lse) {
  attention g = {.q = q, .k = k, .v = v, .segments = segments, .y = y, .lse = lse, .b = b, .s = s, .keys = s, .h = h,
                 .hk = hk, .d = d, .scale = scale};
  ft_parallel(b * h * ceil_div(s, TILE), attention_fwd_task, &g);
}

/* With p = exp(score - lse) and D = sum over d of dy y (= sum over keys of p dp):
 *   dv += p^T dy;  dp = dy v^T;  ds = p (dp - D) scale;  dq += ds k;  dk += ds^T q
 * One task makes all gradients of one key head, its query heads in order: nothing is added from two threads. */
static void attention_bwd_task(void *arg, int64_t task) {
  const attention *g = arg;
  int64_t s = g->s, d = g->d, ldq = g->h * d, ldk = g->hk * d, group = g->h / g->hk, b = task / g->hk, kv = task % g->hk;
  const int32_t *segments = g->segments ? g->segments + b * s : 0;
  float *score = ft_scratch(FT_SLOT_TASK, (size_t)(2 * TILE * TILE + s) * 4), *ds = score + TILE * TILE, *D = ds + TILE * TILE;
  const float *k = g->k + (b * s * g->hk + kv) * d, *v = g->v + (b * s * g->hk + kv) * d;
  float *dk = g->dk + (b * s * g->hk + kv) * d, *dv = g->dv + (b * s * g->hk + kv) * d;
  for (int64_t i = 0; i < s; i++) {
    memset(dk + i * ldk, 0, (size_t)d * 4);
    memset(dv + i * ldk, 0, (size_t)d * 4);
  }
  for (int64_t head = kv * group; head < (kv + 1) * group; head++) {
    int64_t at = (b * s * g->h + head) * d;
    const float *q = g->q + at, *y = g->y + at, *dy = g->dy + at, *lse = g->lse + (b * g->h + head) * s;
    float *dq = g->dq + at;
    for (int64_t i = 0; i < s; i++) {
      vf sum = {0};
      for (int64_t c = 0; c < d; c += VL) sum = vfma(load_n(dy + i * ldq + c, d - c), load_n(y + i * ldq + c, d - c), sum);
      D[i] = hsum(sum);
      memset(dq + i * ldq, 0, (size_t)d * 4);
    }
    for (int64_t j0 = 0; j0 < s; j0 += TILE)
      for (int64_t i0 = j0; i0 < s; i0 += TILE) {
        int64_t nk = FT_MIN(TILE, s - j0), nq = FT_MIN(TILE, s - i0);
        int kind = tile_kind(segments, i0, nq, j0, nk);
        if (kind == TILE_NONE) continue;
        const float *qi = q + i0 * ldq, *dyi = dy + i0 * ldq, *kj = k + j0 * ldk, *vj = v + j0 * ldk;
        gemm_call(nq, nk, d, qi, ldq, 0, kj, ldk, 1, score, TILE, g->scale, 0);
        gemm_call(nq, nk, d, dyi, ldq, 0, vj, ldk, 1, ds, TILE, 1, 0);
        for (int64_t i = 0; i < nq; i++) {
          float *row = score + i * TILE, *dp = ds + i * TILE;
          if (kind == TILE_SOME)
            for (int64_t j = 0; j < nk; j++)
              if (!sees(segments, i0 + i, j0 + j)) row[j] = -INFINITY;
          for (int64_t j = 0; j < nk; j += VL) {
            vf p = vexp(load_n(row + j, nk - j) - lse[i0 + i]);
            store_n(row + j, p, nk - j);
            store_n(dp + j, p * (load_n(dp + j, nk - j) - D[i0 + i]) * g->scale, nk - j);
          }
        }
        gemm_call(nk, d, nq, score, TILE, 1, dyi, ldq, 0, dv + j0 * ldk, ldk, 1, 1);
        gemm_call(nk, d, nq, ds, TILE, 1, qi, ldq, 0, dk + j0 * ldk, ldk, 1, 1);
        gemm_call(nq, d, nk, ds, TILE, 0, kj, ldk, 0, dq + i0 * ldq, ldq, 1, 1);
      }
  }
}

void K(ft_attention_bwd)(const float *q, const float *k, const float *v, const int32_t *segments, const float *y,
                         const float *lse, const float *dy, int64_t b, int64_t s, int64_t h, int64_t hk, int64_t d,
                         float scale, float *dq, float *dk, float *dv) {
  attention g = {.q = q, .k = k, .v = v, .dy = dy, .segments = segments, .y = (float *)y, .lse = (float *)lse, .dq = dq,
                 .dk = dk, .dv = dv, .b = b, .s = s, .keys = s, .h = h, .hk = hk, .d = d, .scale = scale};
  ft_parallel(b * hk, attention_bwd_task, &g);
}

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

void K(ft_attention_cached)(const float *q, const float *k, const float *v, const int32_t *start, int64_t b,
                            int64_t sq, int64_t T, int64_t h, int64_t hk, int64_t d, float scale, float *y) {
  attention g = {.q = q, .k = k, .v = v, .start = start, .y = y, .b = b, .s = sq, .keys = T, .h = h, .hk = hk, .d = d,
                 .scale = scale};
  if (sq <= 8) ft_parallel(b * sq * h, decode_task, &g);
  else ft_parallel(b * h * ceil_div(sq, TILE), attention_fwd_task, &g);
}
