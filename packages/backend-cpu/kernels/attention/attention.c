/* Causal attention with segments and grouped heads, in blocks of queries by blocks of keys (FlashAttention: Dao et al.
 * 2022, arXiv 2205.14135): running maximum and sum per query, scores recomputed in the backward pass from the stored
 * log-sum-exp. What the causal order or the segments mask entirely is skipped, panel by panel; a masked weight is exactly
 * 0, so other segments cannot change a bit. */
#include "backward.h"
#include "decode.h"
#include "forward.h"

void K(ft_attention_fwd)(const float *q, const float *k, const float *v, const int32_t *segments, int64_t b, int64_t s,
                         int64_t h, int64_t hk, int64_t d, float scale, float *y, float *lse) {
  attention g = {.q = q, .k = k, .v = v, .segments = segments, .y = y, .lse = lse, .b = b, .s = s, .keys = s, .h = h,
                 .hk = hk, .d = d, .scale = scale};
  ft_parallel(b * h * ceil_div(s, ATT_QUERIES), attention_fwd_task, &g);
}

void K(ft_attention_bwd)(const float *q, const float *k, const float *v, const int32_t *segments, const float *y,
                         const float *lse, const float *dy, int64_t b, int64_t s, int64_t h, int64_t hk, int64_t d,
                         float scale, float *dq, float *dk, float *dv) {
  attention g = {.q = q, .k = k, .v = v, .dy = dy, .segments = segments, .y = (float *)y, .lse = (float *)lse, .dq = dq,
                 .dk = dk, .dv = dv, .b = b, .s = s, .keys = s, .h = h, .hk = hk, .d = d, .scale = scale};
  int64_t wide = ceil_div(d, NR) * NR;
  /* key heads when there are enough of them for an even load, query heads otherwise */
  if (h == hk || ft_threads_active() == 1 || b * hk >= 4 * ft_threads_active()) {
    ft_parallel(b * hk, key_head_task, &g);
    return;
  }
  g.part = ft_scratch(FT_SLOT_SHARED, (size_t)(2 * b * h * s * wide) * 4);
  ft_parallel(b * h, query_head_task, &g);
  ft_parallel(b * hk * ceil_div(s, ATT_QUERIES), add_parts_task, &g);
}

void K(ft_attention_cached)(const float *q, const float *k, const float *v, const int32_t *start, int64_t b,
                            int64_t sq, int64_t T, int64_t h, int64_t hk, int64_t d, float scale, float *y) {
  attention g = {.q = q, .k = k, .v = v, .start = start, .y = y, .b = b, .s = sq, .keys = T, .h = h, .hk = hk, .d = d,
                 .scale = scale};
  if (sq <= 8) ft_parallel(b * sq * h, decode_task, &g);
  else ft_parallel(b * h * ceil_div(sq, ATT_QUERIES), attention_fwd_task, &g);
}
