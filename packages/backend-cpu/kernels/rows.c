/* Kernels over rows: RMSNorm, rotary embedding, embedding lookup. */
#include <math.h>

#define ROWS_PER_TASK 16
#define STRIP 128 /* columns in one task where rows are summed: every task goes through all rows in order */

typedef struct {
  const float *x, *w, *rstd, *dy;
  float *y, *out_rstd, *dw;
  int64_t rows, h;
  float eps;
} norm;

static void rmsnorm_task(void *arg, int64_t task) {
  const norm *g = arg;
  int64_t h = g->h, end = FT_MIN(g->rows, (task + 1) * ROWS_PER_TASK);
  for (int64_t r = task * ROWS_PER_TASK; r < end; r++) {
    const float *x = g->x + r * h;
    vf sum = {0}, other = {0};
    for (int64_t i = 0; i < h; i += 2 * VL) {
      vf a = load_n(x + i, h - i), b = h - i > VL ? load_n(x + i + VL, h - i - VL) : (vf){0};
      sum = vfma(a, a, sum);
      other = vfma(b, b, other);
    }
    float rstd = 1.0f / sqrtf(hsum(sum + other) / (float)h + g->eps);
    for (int64_t i = 0; i < h; i += VL) store_n(g->y + r * h + i, load_n(x + i, h - i) * rstd * load_n(g->w + i, h - i), h - i);
    g->out_rstd[r] = rstd;
  }
}

void K(ft_rmsnorm_fwd)(const float *x, const float *w, float eps, int64_t rows, int64_t h, float *y, float *rstd) {
  norm g = {.x = x, .w = w, .y = y, .out_rstd = rstd, .rows = rows, .h = h, .eps = eps};
  ft_parallel(ceil_div(rows, ROWS_PER_TASK), rmsnorm_task, &g);
}

/* dx = rstd * (w dy - x * rstd^2 / h * sum(w dy x)) */
static void rmsnorm_dx_task(void *arg, int64_t task) {
  const norm *g = arg;
  int64_t h = g->h, end = FT_MIN(g->rows, (task + 1) * ROWS_PER_TASK);
  for (int64_t r = task * ROWS_PER_TASK; r < end; r++) {
    const float *x = g->x + r * h, *dy = g->dy + r * h;
    float rstd = g->rstd[r];
    vf sum = {0};
    for (int64_t i = 0; i < h; i += VL) sum = vfma(load_n(g->w + i, h - i) * load_n(dy + i, h - i), load_n(x + i, h - i), sum);
    float along = hsum(sum) * rstd * rstd / (float)h;
    for (int64_t i = 0; i < h; i += VL) {
      vf d = load_n(g->w + i, h - i) * load_n(dy + i, h - i) - load_n(x + i, h - i) * along;
      store_n(g->y + r * h + i, d * rstd, h - i);
    }
  }
}

static void rmsnorm_dw_task(void *arg, int64_t task) {
  const norm *g = arg;
  int64_t c0 = task * STRIP, n = FT_MIN(STRIP, g->h - c0);
  float sum[STRIP] = {0};
  for (int64_t r = 0; r < g->rows; r++) {
    const float *x = g->x + r * g->h + c0, *dy = g->dy + r * g->h + c0;
    for (int64_t i = 0; i < n; i += VL) {
      vf s = load_n(x + i, n - i) * g->rstd[r];
      store_n(sum + i, vfma(s, load_n(dy + i, n - i), load_n(sum + i, n - i)), n - i);
    }
  }
  memcpy(g->dw + c0, sum, (size_t)n * 4);
}

void K(ft_rmsnorm_bwd)(const float *x, const float *w, const float *rstd, const float *dy, int64_t rows, int64_t h,
                       float *dx, float *dw) {
  norm g = {.x = x, .w = w, .rstd = rstd, .dy = dy, .y = dx, .dw = dw, .rows = rows, .h = h};
  if (dw) ft_parallel(ceil_div(h, STRIP), rmsnorm_dw_task, &g); /* first: dx may alias */
  if (dx) ft_parallel(ceil_div(rows, ROWS_PER_TASK), rmsnorm_dx_task, &g);
}

typedef struct {
  const float *x, *inv_freq;
  const int32_t *positions;
  float *out;
  int64_t tokens, heads, d;
  float sign;
} rotation;

#define ANGLES (VL / 2) /* at a time, in f64 */
typedef double vd __attribute__((vector_size(VL * 4)));
typedef uint64_t vd_bits __attribute__((vector_size(VL * 4)));
typedef float vf_half __attribute__((vector_size(VL * 2)));

/* Sine and cosine of f32 angles, correctly rounded but for rare ties: reduced by quarters of a turn in f64 (pi / 2
 * as 33 bits and a rest, so that the product with a whole number below 2^20 is exact), then Taylor's polynomials, off by
 * less than 1e-11 for |r| <= pi / 4. Inf gives NaN. */
FT_INLINE void sine_cosine(vf_half angle, vf_half *sine, vf_half *cosine) {
  vd x = __builtin_convertvector(angle, vd), t = x * 0x1.45f306dc9c883p-1 + 0x1.8p52, n = t - 0x1.8p52;
  vd r = x - n * 0x1.921fb544p0 - n * 0x1.0b4611a626331p-34, z = r * r;
  vd s = r * (1 + z * (-1.0 / 6 + z * (1.0 / 120 + z * (-1.0 / 5040 + z * (1.0 / 362880 - z * (1.0 / 39916800))))));
  vd c = 1 + z * (-0.5 + z * (1.0 / 24 + z * (-1.0 / 720 + z * (1.0 / 40320 + z * (-1.0 / 3628800 + z * (1.0 / 479001600))))));
  vd_bits quarter = (vd_bits)t, swap = -(quarter & 1), a = (vd_bits)s, b = (vd_bits)c;
  vd_bits sine_sign = (quarter & 2) << 62, cosine_sign = ((quarter + 1) & 2) << 62;
  *sine = __builtin_convertvector((vd)(((swap & b) | (~swap & a)) ^ sine_sign), vf_half);
  *cosine = __builtin_convertvector((vd)(((swap & a) | (~swap & b)) ^ cosine_sign), vf_half);
}

static void rope_task(void *arg, int64_t task) {
  const rotation *g = arg;
  int64_t half = g->d / 2, end = FT_MIN(g->tokens, (task + 1) * ROWS_PER_TASK);
  float *cosine = ft_scratch(FT_SLOT_TASK, (size_t)(half + VL) * 8), *sine = cosine + half + VL;
  for (int64_t t = task * ROWS_PER_TASK; t < end; t++) {
    for (int64_t i = 0; i < half; i += ANGLES) {
      vf_half angle = {0}, s, c;
      if (half - i >= ANGLES) memcpy(&angle, g->inv_freq + i, sizeof angle);
      else memcpy(&angle, g->inv_freq + i, (size_t)(half - i) * 4);
      sine_cosine(angle * (float)g->positions[t], &s, &c);
      s *= g->sign;
      memcpy(sine + i, &s, sizeof s);
      memcpy(cosine + i, &c, sizeof c);
    }
    for (int64_t head = 0; head < g->heads; head++) {
      const float *x = g->x + (t * g->heads + head) * g->d;
      float *y = g->out + (t * g->heads + head) * g->d;
      for (int64_t i = 0; i < half; i += VL) {
        int64_t m = half - i;
        vf a = load_n(x + i, m), b = load_n(x + half + i, m), c = load_n(cosine + i, m), s = load_n(sine + i, m);
        store_n(y + i, a * c - b * s, m);
        store_n(y + half + i, b * c + a * s, m);
      }
    }
  }
}

void K(ft_rope)(const float *x, const int32_t *positions, const float *inv_freq, int64_t tokens, int64_t heads, int64_t d,
                float sign, float *out) {
  rotation g = {x, inv_freq, positions, out, tokens, heads, d, sign};
  ft_parallel(ceil_div(tokens, ROWS_PER_TASK), rope_task, &g);
}

typedef struct {
  const float *from; /* dy */
  stored table;
  const int32_t *ids;
  float *out;
  int64_t n, h, vocab;
} lookup;

static void embedding_task(void *arg, int64_t task) {
  const lookup *g = arg;
  int64_t end = FT_MIN(g->n, (task + 1) * ROWS_PER_TASK);
  for (int64_t i = task * ROWS_PER_TASK; i < end; i++)
    unpack(&g->table, g->ids[i], 0, g->h, g->out + i * g->h);
}

int64_t K(ft_embedding)(const void *table, int storage, const float *scales, int64_t block, int64_t vocab, const int32_t *ids, int64_t n, int64_t h, float *out) {
  for (int64_t i = 0; i < n; i++)
    if (ids[i] < 0 || ids[i] >= vocab) return i;
  lookup g = {.table = {table, h, storage, scales, block}, .ids = ids, .out = out, .n = n, .h = h, .vocab = vocab};
  ft_parallel(ceil_div(n, ROWS_PER_TASK), embedding_task, &g);
  return -1;
}

/* ---- gradient of the table ---- */

typedef struct {
  const float *dy;
  const int64_t *order; /* id << 32 | i, ascending: the rows of an id together and in order of i */
  void *table;
  int64_t used, h, vocab;
  int storage, beta;
} table_gradient;

FT_INLINE void add_rows_as(const int storage, const table_gradient *g, int64_t c0, int64_t n) {
  stored table = {g->table, g->h, storage, 0, 0};
  for (int64_t from = 0, end; from < g->used; from = end) {
    int64_t id = g->order[from] >> 32, at = id * g->h + c0;
    float sum[STRIP] = {0};
    for (end = from; end < g->used && g->order[end] >> 32 == id; end++) {
      const float *dy = g->dy + (g->order[end] & 0xffffffff) * g->h + c0;
      for (int64_t c = 0; c < n; c += VL) store_n(sum + c, load_n(sum + c, n - c) + load_n(dy + c, n - c), n - c);
    }
    if (g->beta)
      for (int64_t c = 0; c < n; c++) sum[c] += stored_at(storage, &table, id, c0 + c);
    if (storage == STORED_F32) memcpy((float *)g->table + at, sum, (size_t)n * 4);
    else
      for (int64_t c = 0; c < n; c++)
        ((uint16_t *)g->table)[at + c] = storage == STORED_BF16 ? to_bf16(sum[c]) : to_f16(sum[c]);
  }
}

static void add_rows_task(void *arg, int64_t task) {
  const table_gradient *g = arg;
  int64_t c0 = task * STRIP, n = FT_MIN(STRIP, g->h - c0);
  if (g->storage == STORED_F32) add_rows_as(STORED_F32, g, c0, n);
  else if (g->storage == STORED_BF16) add_rows_as(STORED_BF16, g, c0, n);
  else add_rows_as(STORED_F16, g, c0, n);
}

static void clear_rows_task(void *arg, int64_t task) {
  const table_gradient *g = arg;
  int64_t from = task * ROWS_PER_TASK, rows = FT_MIN(ROWS_PER_TASK, g->vocab - from);
  size_t row = (size_t)g->h * (g->storage == STORED_F32 ? 4 : 2);
  memset((char *)g->table + (size_t)from * row, 0, (size_t)rows * row);
}

/* ascending; `spare` is as long */
static int64_t *sorted(int64_t *x, int64_t n, int64_t *spare) {
  for (int64_t run = 1; run < n; run *= 2) {
    for (int64_t at = 0; at < n; at += 2 * run) {
      int64_t i = at, middle = FT_MIN(n, at + run), j = middle, end = FT_MIN(n, at + 2 * run);
      for (int64_t k = at; k < end; k++) spare[k] = j == end || (i < middle && x[i] < x[j]) ? x[i++] : x[j++];
    }
    int64_t *swap = x;
    x = spare, spare = swap;
  }
  return x;
}

int64_t K(ft_embedding_bwd)(const float *dy, const int32_t *ids, int64_t n, int64_t h, int64_t vocab, void *dtable, int storage,
                            int beta) {
  if (storage < STORED_F32 || storage > STORED_F16) return -2;
  for (int64_t i = 0; i < n; i++)
    if (ids[i] >= vocab) return i;
  int64_t *order = ft_alloc((uint64_t)(n + 1) * 16), used = 0;
  if (!order) return -2;
  for (int64_t i = 0; i < n; i++)
    if (ids[i] >= 0) order[used++] = (int64_t)ids[i] << 32 | i;
  table_gradient g = {dy, sorted(order, used, order + n + 1), dtable, used, h, vocab, storage, beta};
  if (!beta) ft_parallel(ceil_div(vocab, ROWS_PER_TASK), clear_rows_task, &g);
  ft_parallel(ceil_div(h, STRIP), add_rows_task, &g);
  ft_release(order);
  return -1;
}
