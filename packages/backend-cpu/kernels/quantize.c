/* Blocks of values as codes and a scale, the largest magnitude of the block: bytes as bitsandbytes' CUDA kernels make
 * them. Values are multiplied by the reciprocal of the scale, so that a block of zeros becomes NaN and takes code 0. */

#include "reciprocal.h"

typedef struct {
  stored from;
  const uint8_t *key; /* 8 bits: for the upper half of an f32, how many bounds lie below all such values */
  const float *bound, *map, *offset;
  float *scale, *out;
  void *narrow; /* the result of dequantising to 16 bits */
  uint8_t *codes;
  int64_t n, block;
  int storage, steps, same_sign;
} coded;

FT_INLINE vf magnitude(vf x) { return (vf)((vi)x & 0x7fffffff); }

/* subnormal numbers count as 0 */
FT_INLINE vf flushed(vf x) { return (vf)((vi)x & (vi)(magnitude(x) >= SMALLEST_NORMAL)); }

/* NaN if any is */
static float largest(const float *x, int64_t n) {
  vf top = {0};
  for (int64_t i = 0; i < n; i += VL) top = vmax(magnitude(load_n(x + i, n - i)), top);
  float most = hmax(top);
  return most < SMALLEST_NORMAL ? 0 : most;
}

/* ---- 4 bits ---- */

#define MOST_4BIT 4096 /* values unpacked at a time: no block is longer */

/* halfway between neighbouring values, rounded as bitsandbytes does; a value on a bound belongs below it */
static const float nf4_bounds[15] = {
    -0.8480964004993439f, -0.6106329262256622f,  -0.4599952697753906f, -0.33967943489551544f, -0.23460740596055984f,
    -0.13791173323988914f, -0.045525018125772476f, 0.03979014977812767f, 0.1202552504837513f,  0.2035212516784668f,
    0.2920137718319893f,  0.3893125355243683f,   0.5016634166240692f,  0.6427869200706482f,   0.8614784181118011f,
};
static const float fp4_bounds[7] = {0.00260417f, 0.0859375f, 0.20833333f, 0.29166667f, 0.4166667f, 0.583333f, 0.8333333f};

FT_INLINE vi codes_4bit(const int storage, vf x) {
  vi code = {0};
  if (storage == STORED_NF4) {
    for (int b = 0; b < 15; b++) code -= x > nf4_bounds[b];
    return code;
  }
  for (int b = 0; b < 7; b++) code -= magnitude(x) > fp4_bounds[b];
  return (code ^ (code & 2) << 1) | ((x <= -SMALLEST_NORMAL) & 8);
}

FT_INLINE void quantize_4bit_as(const int storage, const coded *g, int64_t from, int64_t end) {
  float work[MOST_4BIT];
  for (int64_t i = from; i < end; i += g->block) {
    int64_t n = FT_MIN(g->block, end - i);
    const float *x = work;
    if (g->from.storage == STORED_F32) x = (const float *)g->from.p + i;
    else unpack(&g->from, 0, i, n, work);
    float scale = largest(x, n), inverse = reciprocal(scale);
    g->scale[i / g->block] = scale;
    for (int64_t j = 0; j < n; j += VL) { /* behind the last value stand zeros */
      vi code = codes_4bit(storage, flushed(load_n(x + j, n - j)) * inverse);
      int32_t each[VL];
      memcpy(each, &code, sizeof code);
      uint8_t *d = g->codes + (i + j) / 2;
      int64_t bytes = FT_MIN(VL, n - j + 1) / 2;
      for (int u = 0; u < VL / 2; u++)
        if (u < bytes) d[u] = (uint8_t)(each[2 * u] << 4 | each[2 * u + 1]);
    }
  }
}

static void quantize_4bit_task(void *arg, int64_t task) {
  const coded *g = arg;
  int64_t from = task * CHUNK, end = FT_MIN(g->n, from + CHUNK);
  if (g->storage == STORED_NF4) quantize_4bit_as(STORED_NF4, g, from, end);
  else quantize_4bit_as(STORED_FP4, g, from, end);
}

static int is_block(int64_t block) { return block >= 16 && block <= MOST_4BIT && !(block & (block - 1)); }

int K(ft_quantize_4bit)(const void *x, int storage, int64_t n, int kind, int64_t block, uint8_t *codes, float *absmax) {
  if (storage < STORED_F32 || storage > STORED_F16 || !is_4bit(kind) || !is_block(block)) return -2;
  coded g = {.from = {x, 0, storage, 0, 0}, .scale = absmax, .codes = codes, .n = n, .block = block, .storage = kind};
  ft_parallel(ceil_div(n, CHUNK), quantize_4bit_task, &g);
  return 0;
}

static void dequantize_4bit_task(void *arg, int64_t task) {
  const coded *g = arg;
  int64_t end = FT_MIN(g->n, (task + 1) * CHUNK);
  float work[MOST_4BIT];
  for (int64_t i = task * CHUNK; i < end; i += MOST_4BIT) {
    int64_t n = FT_MIN(MOST_4BIT, end - i);
    if (g->storage == STORED_F32) {
      unpack(&g->from, 0, i, n, g->out + i);
      continue;
    }
    unpack(&g->from, 0, i, n, work);
    uint16_t *d = (uint16_t *)g->narrow + i;
    if (g->storage == STORED_BF16)
      for (int64_t j = 0; j < n; j++) d[j] = to_bf16(work[j]);
    else
      for (int64_t j = 0; j < n; j++) d[j] = to_f16(work[j]);
  }
}

int K(ft_dequantize_4bit)(const uint8_t *codes, int kind, const float *absmax, int64_t block, int64_t n, void *out,
                          int storage) {
  if (storage < STORED_F32 || storage > STORED_F16 || !is_4bit(kind) || !is_block(block)) return -2;
  coded g = {.from = {codes, 0, kind, absmax, block}, .out = out, .narrow = out, .n = n, .storage = storage};
  ft_parallel(ceil_div(n, CHUNK), dequantize_4bit_task, &g);
  return 0;
}

/* ---- 8 bits ----
 *
 * The code of x is how many bounds lie below it. bitsandbytes descends a tree whose leaves are the even codes, and a value
 * halfway belongs to the leaf: so above an odd code a bound is moved down by one place. The upper half of an f32 (sign,
 * exponent, seven places) leaves few bounds to compare with: one, where a map is no denser than its numbers' places. */

#define KEYS 65536

static float below(float x) {
  uint32_t u = bits_of(x);
  return x > 0 ? float_of(u - 1) : x < 0 ? float_of(u + 1) : -0x1p-149f;
}

/* bound[255] is below nothing */
static void find_bounds(const float *map, float *bound) {
  for (int i = 0; i < 255; i++) {
    float middle = (map[i] + map[i + 1]) * 0.5f;
    bound[i] = i & 1 ? below(middle) : middle;
  }
  bound[255] = INFINITY;
}

/* key[k] = bounds below every f32 whose upper half is k; returns the most bounds that lie among those of one k */
static int find_keys(const float *bound, uint8_t *key) {
  int negative = 0, steps = 0, alike = 0;
  uint32_t before = KEYS;
  while (bound[negative] < 0) negative++;
  for (int i = 0; i < 255; i++) {
    uint32_t k = bits_of(bound[i]) >> 16;
    alike = k == before ? alike + 1 : 1;
    steps = FT_MAX(steps, alike);
    before = k;
  }
  /* magnitudes rise from 0 on: runs of keys from one bound to the next */
  uint32_t at = 0;
  for (int i = negative; i < 255; i++) {
    uint32_t k = (bits_of(bound[i]) >> 16) + 1;
    memset(key + at, i, k - at);
    at = k;
  }
  memset(key + at, 255, KEYS / 2 - at);
  at = KEYS / 2;
  for (int i = negative; i-- > 0;) {
    uint32_t k = bits_of(bound[i]) >> 16;
    memset(key + at, i + 1, k - at);
    at = k;
  }
  memset(key + at, 0, KEYS - at);
  return steps;
}

FT_INLINE float flush(float x) { return float_of(bits_of(x) & 0x7fffffff) < SMALLEST_NORMAL ? 0 : x; }

FT_INLINE int code_8bit(const coded *g, const int steps, float x) {
  int code = g->key[bits_of(x) >> 16];
  for (int i = 0; i < steps; i++) code += g->bound[code] < x;
  return x == x ? code : 0;
}

FT_INLINE void quantize_8bit_block(const coded *g, const int steps, int64_t from, int64_t n) {
  const float *x = (const float *)g->from.p + from;
  float scale = largest(x, n), inverse = reciprocal(scale);
  uint8_t *d = g->codes + from;
  g->scale[from / g->block] = scale;
  if (!g->same_sign) {
    for (int64_t i = 0; i < n; i++) d[i] = (uint8_t)code_8bit(g, steps, flush(x[i]) * inverse);
    return;
  }
  for (int64_t i = 0; i < n; i++) {
    int code = code_8bit(g, steps, flush(x[i]) * inverse), other = (bits_of(g->map[code]) ^ bits_of(x[i])) >> 31;
    d[i] = (uint8_t)(code + (x[i] >= SMALLEST_NORMAL ? other : -other));
  }
}

FT_INLINE int64_t blocks_in_task(int64_t block) { return FT_MAX(1, CHUNK / block); }

static void quantize_8bit_task(void *arg, int64_t task) {
  const coded *g = arg;
  int64_t span = blocks_in_task(g->block) * g->block, end = FT_MIN(g->n, (task + 1) * span);
  for (int64_t i = task * span; i < end; i += g->block) {
    int64_t n = FT_MIN(g->block, end - i);
    if (g->steps == 1) quantize_8bit_block(g, 1, i, n);
    else quantize_8bit_block(g, g->steps, i, n);
  }
}

void K(ft_quantize_8bit)(const float *x, int64_t n, const float *map, int64_t block, int same_sign, uint8_t *codes,
                         float *absmax) {
  float bound[256];
  uint8_t key[KEYS];
  find_bounds(map, bound);
  coded g = {.from = {x, 0, STORED_F32, 0, 0}, .key = key, .bound = bound, .map = map, .scale = absmax, .codes = codes};
  g.n = n, g.block = block, g.same_sign = same_sign;
  g.steps = find_keys(bound, key);
  ft_parallel(ceil_div(n, blocks_in_task(block) * block), quantize_8bit_task, &g);
}

static void dequantize_8bit_task(void *arg, int64_t task) {
  const coded *g = arg;
  int64_t span = blocks_in_task(g->block) * g->block, end = FT_MIN(g->n, (task + 1) * span);
  for (int64_t i = task * span; i < end; i += g->block) {
    int64_t n = FT_MIN(g->block, end - i);
    const uint8_t *codes = g->codes + i;
    float *d = g->out + i, scale = g->scale[i / g->block];
    for (int64_t j = 0; j < n; j++) d[j] = g->map[codes[j]] * scale;
    if (g->offset)
      for (int64_t j = 0; j < n; j++) d[j] += *g->offset;
  }
}

void K(ft_dequantize_8bit)(const uint8_t *codes, int64_t n, const float *map, const float *absmax, int64_t block,
                           const float *offset, float *out) {
  coded g = {.map = map, .offset = offset, .scale = (float *)absmax, .out = out, .codes = (uint8_t *)codes};
  g.n = n, g.block = block;
  ft_parallel(ceil_div(n, blocks_in_task(block) * block), dequantize_8bit_task, &g);
}
