/* Kernels over flat arrays. Work is cut into chunks of fixed length; a tail runs through the same vector arithmetic. */

#define CHUNK 32768

typedef struct {
  int kind;
  int64_t n;
  const float *a, *b;
  float *out;
  float s;
} flat;

#define FLAT_LOOP(body)                                                                                                \
  {                                                                                                                    \
    const flat *g = arg;                                                                                               \
    int64_t end = FT_MIN(g->n, (task + 1) * CHUNK);                                                                    \
    for (int64_t i = task * CHUNK; i < end; i += VL) {                                                                 \
      int64_t m = end - i;                                                                                             \
      body                                                                                                             \
    }                                                                                                                  \
  }
#define DEFINE_BINARY(name, expression)                                                                                \
  static void name##_task(void *arg, int64_t task)                                                                     \
      FLAT_LOOP(vf x = load_n(g->a + i, m); vf y = load_n(g->b + i, m); store_n(g->out + i, expression, m);)           \
  static void name##_scalar_task(void *arg, int64_t task)                                                              \
      FLAT_LOOP(vf x = load_n(g->a + i, m); vf y = splat(g->s); store_n(g->out + i, expression, m);)
DEFINE_BINARY(add, x + y)
DEFINE_BINARY(sub, x - y)
DEFINE_BINARY(mul, x *y)
DEFINE_BINARY(div, x / y)
DEFINE_BINARY(min, vmin(x, y))
DEFINE_BINARY(max, vmax(x, y))
static ft_task *const binary_tasks[6] = {add_task, sub_task, mul_task, div_task, min_task, max_task};
static ft_task *const scalar_tasks[6] = {add_scalar_task, sub_scalar_task, mul_scalar_task,
                                         div_scalar_task, min_scalar_task, max_scalar_task};

void K(ft_binary_f32)(int kind, const float *a, const float *b, float *out, int64_t n) {
  flat g = {.n = n, .a = a, .b = b, .out = out};
  if (kind >= 0 && kind < 6) ft_parallel(ceil_div(n, CHUNK), binary_tasks[kind], &g);
}
void K(ft_binary_scalar_f32)(int kind, const float *a, float b, float *out, int64_t n) {
  flat g = {.n = n, .a = a, .s = b, .out = out};
  if (kind >= 0 && kind < 6) ft_parallel(ceil_div(n, CHUNK), scalar_tasks[kind], &g);
}
void K(ft_add_f32)(const float *a, const float *b, float *out, int64_t n) { K(ft_binary_f32)(0, a, b, out, n); }
void K(ft_scale_f32)(float alpha, const float *x, float *out, int64_t n) { K(ft_binary_scalar_f32)(2, x, alpha, out, n); }

static void axpy_task(void *arg, int64_t task)
    FLAT_LOOP(store_n(g->out + i, splat(g->s) * load_n(g->a + i, m) + load_n(g->out + i, m), m);)
void K(ft_axpy_f32)(float alpha, const float *x, float *y, int64_t n) {
  flat g = {.n = n, .a = x, .out = y, .s = alpha};
  ft_parallel(ceil_div(n, CHUNK), axpy_task, &g);
}

/* ---- conversions ---- */

typedef struct {
  int64_t n;
  const void *x;
  void *out;
} conversion;

/* Without branches: a subnormal result is rounded by adding a power of two whose last place is its own. */
FT_INLINE uint16_t to_f16(float x) {
  uint32_t u = bits_of(x), sign = (u >> 16) & 0x8000, a = u & 0x7fffffff;
  uint32_t normal = (a - 0x38000000 + 0xfff + ((a >> 13) & 1)) >> 13;
  uint32_t small = bits_of(float_of(a) + 0.5f) - 0x3f000000;
  uint32_t r = a < 0x38800000 ? small : normal;
  r = a >= 0x477ff000 ? 0x7c00 : r; /* 65520 and beyond */
  r = a > 0x7f800000 ? 0x7e00 | ((a >> 13) & 0x1ff) : r;
  return (uint16_t)(sign | r);
}

#define DEFINE_CAST(name, from, to, function, fast)                                                                    \
  static void name##_task(void *arg, int64_t task) {                                                                   \
    const conversion *g = arg;                                                                                         \
    const from *x = g->x;                                                                                              \
    to *out = g->out;                                                                                                  \
    int64_t i = task * CHUNK, end = FT_MIN(g->n, i + CHUNK);                                                           \
    fast for (; i < end; i++) out[i] = function(x[i]);                                                                 \
  }                                                                                                                    \
  void K(name)(const from *x, to *out, int64_t n) {                                                                    \
    conversion g = {n, x, out};                                                                                        \
    ft_parallel(ceil_div(n, CHUNK), name##_task, &g);                                                                  \
  }
#if defined(__F16C__)
#define FAST_FROM_F16                                                                                                  \
  for (; i + 8 <= end; i += 8) _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(x + i))));
#define FAST_TO_F16                                                                                                    \
  for (; i + 8 <= end; i += 8) _mm_storeu_si128((__m128i *)(out + i), _mm256_cvtps_ph(_mm256_loadu_ps(x + i), 0));
#else
#define FAST_FROM_F16
#define FAST_TO_F16
#endif
DEFINE_CAST(ft_cast_bf16_f32, uint16_t, float, from_bf16, )
DEFINE_CAST(ft_cast_f32_bf16, float, uint16_t, to_bf16, )
DEFINE_CAST(ft_cast_f16_f32, uint16_t, float, from_f16, FAST_FROM_F16)
DEFINE_CAST(ft_cast_f32_f16, float, uint16_t, to_f16, FAST_TO_F16)

/* ---- SwiGLU ---- */

typedef struct {
  const float *gate, *up, *dy;
  float *a, *b;
  int64_t n;
} gated;

#define GATED_LOOP(body)                                                                                               \
  {                                                                                                                    \
    const gated *g = arg;                                                                                              \
    int64_t end = FT_MIN(g->n, (task + 1) * CHUNK);                                                                    \
    for (int64_t i = task * CHUNK; i < end; i += VL) {                                                                 \
      int64_t m = end - i;                                                                                             \
      vf x = load_n(g->gate + i, m), up = load_n(g->up + i, m), sigmoid = 1.0f / (1.0f + vexp(-x));                    \
      body                                                                                                             \
    }                                                                                                                  \
  }
static void swiglu_fwd_task(void *arg, int64_t task) GATED_LOOP(store_n(g->a + i, x * sigmoid * up, m);)
static void swiglu_bwd_task(void *arg, int64_t task)
    GATED_LOOP(vf dy = load_n(g->dy + i, m); vf silu = x * sigmoid;
               store_n(g->a + i, dy * up * (sigmoid + silu * (1.0f - sigmoid)), m); store_n(g->b + i, dy * silu, m);)

void K(ft_swiglu_fwd)(const float *gate, const float *up, int64_t n, float *y) {
  gated g = {.gate = gate, .up = up, .a = y, .n = n};
  ft_parallel(ceil_div(n, CHUNK), swiglu_fwd_task, &g);
}
void K(ft_swiglu_bwd)(const float *gate, const float *up, const float *dy, int64_t n, float *dgate, float *dup) {
  gated g = {gate, up, dy, dgate, dup, n};
  ft_parallel(ceil_div(n, CHUNK), swiglu_bwd_task, &g);
}

/* ---- Philox4x32-10 ---- */

#define GROUPS (VL == 16 ? 4 : 2) /* vectors of counters at a time: independent chains hide the latency of multiplying */
#define LANES (GROUPS * VL / 2) /* counters at a time, 4 results each */

typedef uint64_t vq __attribute__((vector_size(VL * 4)));

/* product of the low halves of 64-bit lanes */
FT_INLINE vq multiply_low(vq a, uint32_t b) {
  vq m = (uint64_t)b - (vq){0};
#if VL == 16
  return (vq)_mm512_mul_epu32((__m512i)a, (__m512i)m);
#elif VL == 8
  return (vq)_mm256_mul_epu32((__m256i)a, (__m256i)m);
#else
  return (a & 0xffffffff) * m;
#endif
}

typedef struct {
  uint32_t seed, stream, step, threshold;
  int64_t n;
  const float *x;
  float *out;
  float scale;
} draws;

/* The words of 4 * LANES elements from counter c0 on. A word lives in the low half of a 64-bit lane; high halves hold
 * leftovers, which the multiplication ignores. */
FT_INLINE void philox(const draws *g, int64_t c0, uint32_t word[4 * LANES]) {
  vq x0[GROUPS], x1[GROUPS], x2[GROUPS], x3[GROUPS], lane;
  for (int l = 0; l < VL / 2; l++) lane[l] = (uint64_t)l;
  for (int i = 0; i < GROUPS; i++) {
    x0[i] = lane + (uint64_t)(c0 + i * (VL / 2));
    x1[i] = (vq){0};
    x2[i] = (uint64_t)g->step - (vq){0};
    x3[i] = (vq){0};
  }
  uint32_t key0 = g->seed, key1 = g->stream;
  for (int round = 0; round < 10; round++, key0 += 0x9E3779B9u, key1 += 0xBB67AE85u)
    for (int i = 0; i < GROUPS; i++) {
      vq p = multiply_low(x0[i], 0xD2511F53u), q = multiply_low(x2[i], 0xCD9E8D57u);
      x0[i] = (q >> 32) ^ x1[i] ^ (uint64_t)key0;
      x2[i] = (p >> 32) ^ x3[i] ^ (uint64_t)key1;
      x1[i] = q;
      x3[i] = p;
    }
  for (int i = 0; i < GROUPS; i++) {
    uint64_t a[VL / 2], b[VL / 2];
    vq low = (x0[i] & 0xffffffff) | (x1[i] << 32), high = (x2[i] & 0xffffffff) | (x3[i] << 32);
    memcpy(a, &low, sizeof a);
    memcpy(b, &high, sizeof b);
    for (int l = 0; l < VL / 2; l++) { /* little-endian: the low half comes first */
      memcpy(word + 4 * (i * (VL / 2) + l), a + l, 8);
      memcpy(word + 4 * (i * (VL / 2) + l) + 2, b + l, 8);
    }
  }
}

#define DRAW_LOOP(expression)                                                                                          \
  {                                                                                                                    \
    const draws g = *(const draws *)arg;                                                                               \
    int64_t end = FT_MIN(g.n, (task + 1) * CHUNK);                                                                     \
    uint32_t word[4 * LANES];                                                                                          \
    for (int64_t i = task * CHUNK; i < end; i += 4 * LANES) {                                                          \
      philox(&g, i / 4, word);                                                                                         \
      for (int64_t j = 0; j < 4 * LANES && i + j < end; j += VL) {                                                     \
        int64_t m = end - i - j;                                                                                       \
        vi bits;                                                                                                       \
        memcpy(&bits, word + j, sizeof bits);                                                                          \
        bits = (vi)((vu)bits >> 8);                                                                                    \
        store_n(g.out + i + j, expression, m);                                                                         \
      }                                                                                                                \
    }                                                                                                                  \
  }
static void uniform_task(void *arg, int64_t task) DRAW_LOOP(__builtin_convertvector(bits, vf) * 0x1p-24f)
static void dropout_task(void *arg, int64_t task)
    DRAW_LOOP(pick(bits >= (int32_t)g.threshold, load_n(g.x + i + j, m) * g.scale, (vf){0}))

void K(ft_philox_uniform)(uint32_t seed, uint32_t stream, uint32_t step, int64_t n, float *out) {
  draws g = {.seed = seed, .stream = stream, .step = step, .n = n, .out = out};
  ft_parallel(ceil_div(n, CHUNK), uniform_task, &g);
}
void K(ft_dropout)(const float *x, double rate, uint32_t seed, uint32_t stream, uint32_t step, int64_t n, float *out) {
  /* rate <= word * 2^-24, exactly, as an integer comparison */
  double t = rate * 0x1p24, threshold = t <= 0 ? 0 : t >= 0x1p24 ? 0x1p24 : (double)(uint32_t)t;
  if (threshold < t && threshold < 0x1p24) threshold += 1;
  draws g = {seed, stream, step, (uint32_t)threshold, n, x, out, (float)(1 / (1 - rate))};
  ft_parallel(ceil_div(n, CHUNK), dropout_task, &g);
}

/* ---- reductions ---- */

#define SUM_GROUPS 64 /* chunks whose partial sums are kept at a time */

typedef struct {
  const float *x;
  int64_t n, from;
  double part[SUM_GROUPS];
} squares;

static void squares_task(void *arg, int64_t task) {
  squares *g = arg;
  int64_t i = (g->from + task) * CHUNK, end = FT_MIN(g->n, i + CHUNK);
  double lane[8] = {0}, sum = 0;
  for (; i + 8 <= end; i += 8)
    for (int l = 0; l < 8; l++) lane[l] += (double)g->x[i + l] * (double)g->x[i + l];
  for (; i < end; i++) sum += (double)g->x[i] * (double)g->x[i];
  for (int l = 0; l < 8; l++) sum += lane[l];
  g->part[task] = sum;
}

double K(ft_sumsq_f64)(const float *x, int64_t n) {
  squares g = {.x = x, .n = n};
  double sum = 0;
  for (int64_t chunks = ceil_div(n, CHUNK); g.from < chunks; g.from += SUM_GROUPS) {
    int64_t some = FT_MIN(SUM_GROUPS, chunks - g.from);
    ft_parallel(some, squares_task, &g);
    for (int64_t i = 0; i < some; i++) sum += g.part[i];
  }
  return sum;
}

/* squares of finite f32 values cannot overflow f64 */
int K(ft_isfinite)(const float *x, int64_t n) {
  double sum = K(ft_sumsq_f64)(x, n);
  return sum - sum == 0;
}
