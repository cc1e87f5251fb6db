/* Weights as they lie in memory, and how they become f32. A matrix is [rows, columns], row-major. */
#ifndef FT_STORED_H
#define FT_STORED_H
#include "vec.h"

enum { STORED_F32, STORED_BF16, STORED_F16, STORED_INT8, STORED_NF4, STORED_FP4, STORED_KINDS };

typedef struct {
  const void *p;
  int64_t ld;          /* elements from one row to the next */
  int storage;
  const float *scales; /* int8: one for each row; NF4 and FP4: one for each block */
  int64_t block;       /* NF4 and FP4: so many neighbours in the flat matrix share a scale; a power of two, at least 16 */
} stored;

FT_INLINE uint32_t bits_of(float x) {
  uint32_t u;
  memcpy(&u, &x, 4);
  return u;
}
FT_INLINE float float_of(uint32_t u) {
  float x;
  memcpy(&x, &u, 4);
  return x;
}

FT_INLINE uint16_t to_bf16(float x) {
  uint32_t u = bits_of(x), rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16, quiet = (u >> 16) | 0x40;
  return (uint16_t)((u & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
}
FT_INLINE float from_bf16(uint16_t h) { return float_of((uint32_t)h << 16); }

/* Without branches: shifted into place, the exponent is corrected by a multiplication, which also normalises subnormals. */
FT_INLINE float from_f16(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = (uint32_t)(h & 0x7fff) << 13;
  uint32_t special = rest >= 0x0f800000 ? 0x70000000 : 0; /* Inf and NaN keep a full exponent */
  float scaled = float_of(rest) * 0x1p112f;
  uint32_t quiet = rest > 0x0f800000 ? 0x00400000 : 0;
  return float_of(sign | (special ? rest | special | quiet : bits_of(scaled)));
}

/* NormalFloat: quantiles of the normal distribution (Dettmers et al., "QLoRA", 2023), as bitsandbytes rounds them */
static const float nf4_values[16] = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

/* a sign, two bits of exponent and one of mantissa, over 12: the code of a value is not its rank (bitsandbytes) */
static const float fp4_values[16] = {
    0.0f,  0.005208333333f,  0.66666667f,  1.0f,  0.33333333f,  0.5f,  0.16666667f,  0.25f,
    -0.0f, -0.005208333333f, -0.66666667f, -1.0f, -0.33333333f, -0.5f, -0.16666667f, -0.25f,
};

FT_INLINE int is_4bit(int storage) { return storage == STORED_NF4 || storage == STORED_FP4; }
FT_INLINE const float *values_of(const int storage) { return storage == STORED_FP4 ? fp4_values : nf4_values; }

/* VL of 16 values by VL / 2 bytes; the first is in the upper four bits of its byte */
FT_INLINE vf lookup_4bit(const float *values, const uint8_t *p) {
#if VL == 16
  uint32_t word[2];
  memcpy(word, p, 8);
  __m512i w = _mm512_inserti64x4(_mm512_set1_epi32((int)word[0]), _mm256_set1_epi32((int)word[1]), 1);
  w = _mm512_srlv_epi32(w, (__m512i)(vu){4, 0, 12, 8, 20, 16, 28, 24, 4, 0, 12, 8, 20, 16, 28, 24});
  return (vf)_mm512_permutexvar_ps(w, (__m512)load(values)); /* an index is its lowest four bits */
#elif VL == 8
  uint32_t word;
  memcpy(&word, p, 4);
  vu w = (vu)_mm256_srlv_epi32(_mm256_set1_epi32((int)word), (__m256i)(vu){4, 0, 12, 8, 20, 16, 28, 24});
  __m256 low = _mm256_permutevar8x32_ps((__m256)load(values), (__m256i)w); /* by the lowest three bits */
  __m256 high = _mm256_permutevar8x32_ps((__m256)load(values + 8), (__m256i)w);
  return (vf)_mm256_blendv_ps(low, high, (__m256)(w << 28)); /* by the sign: the fourth bit */
#else
  return (vf){values[p[0] >> 4], values[p[0] & 15], values[p[1] >> 4], values[p[1] & 15]};
#endif
}

FT_INLINE float block_scale(const stored *m, int64_t flat) { return m->scales[flat >> __builtin_ctzll((uint64_t)m->block)]; }

FT_INLINE uint16_t half_at(const void *p, int64_t i) {
  uint16_t h;
  memcpy(&h, (const char *)p + 2 * i, 2);
  return h;
}

/* element i of row `row`; `storage` is m->storage, a constant where this is inlined */
FT_INLINE float stored_at(const int storage, const stored *m, int64_t row, int64_t i) {
  i += row * m->ld;
  if (storage == STORED_BF16) return from_bf16(half_at(m->p, i));
  if (storage == STORED_F16) return from_f16(half_at(m->p, i));
  if (storage == STORED_INT8) return (float)((const int8_t *)m->p)[i] * m->scales[row];
  if (is_4bit(storage)) {
    uint8_t two = ((const uint8_t *)m->p)[i >> 1];
    return values_of(storage)[i & 1 ? two & 15 : two >> 4] * block_scale(m, i);
  }
  return ((const float *)m->p)[i];
}

/* elements in 64 bytes */
FT_INLINE int64_t stored_line(const int storage) {
  return storage == STORED_F32 ? 16 : storage == STORED_INT8 ? 64 : is_4bit(storage) ? 128 : 32;
}
FT_INLINE void prefetch(const int storage, const stored *m, int64_t row, int64_t i) {
  __builtin_prefetch((const char *)m->p + (i + row * m->ld) * 64 / stored_line(storage));
}

/* elements i .. i + VL of row `row` */
FT_INLINE vf fetch(const int storage, const stored *m, int64_t row, int64_t i) {
  i += row * m->ld;
  const uint16_t *half = (const uint16_t *)m->p + i;
  if (storage == STORED_BF16) {
#if VL == 16
    return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)half)), 16);
#elif VL == 8
    return (vf)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)half)), 16);
#else
    return (vf)((vu){half_at(half, 0), half_at(half, 1), half_at(half, 2), half_at(half, 3)} << 16);
#endif
  }
  if (storage == STORED_F16) {
#if VL == 16
    return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)half));
#elif VL == 8
    return (vf)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)half));
#else
    return (vf){from_f16(half_at(half, 0)), from_f16(half_at(half, 1)), from_f16(half_at(half, 2)), from_f16(half_at(half, 3))};
#endif
  }
  if (storage == STORED_INT8) {
    const int8_t *q = (const int8_t *)m->p + i;
#if VL == 16
    vf x = (vf)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)q)));
#elif VL == 8
    vf x = (vf)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)q)));
#else
    vf x = {(float)q[0], (float)q[1], (float)q[2], (float)q[3]};
#endif
    return x * m->scales[row];
  }
  if (is_4bit(storage)) {
    if (i % VL == 0) return lookup_4bit(values_of(storage), (const uint8_t *)m->p + i / 2) * block_scale(m, i); /* within a block */
    vf x = {0};
    for (int u = 0; u < VL; u++) x[u] = stored_at(storage, m, row, i - row * m->ld + u);
    return x;
  }
  return load((const float *)m->p + i);
}

/* the first n < VL of them; the rest is 0 */
FT_INLINE vf fetch_n(const int storage, const stored *m, int64_t row, int64_t i, int64_t n) {
  vf x = {0};
  for (int64_t u = 0; u < n; u++) x[u] = stored_at(storage, m, row, i + u);
  return x;
}

/* n elements of row `row` from `column` on, as f32 */
FT_INLINE void unpack_as(const int storage, const stored *m, int64_t row, int64_t column, int64_t n, float *d) {
  int64_t i = 0;
  if (is_4bit(storage)) /* up to where a vector of codes starts */
    for (; i < n && (row * m->ld + column + i) % VL; i++) d[i] = stored_at(storage, m, row, column + i);
  for (; i + VL <= n; i += VL) store(d + i, fetch(storage, m, row, column + i));
  for (; i < n; i++) d[i] = stored_at(storage, m, row, column + i);
}

/* `call`(storage, ...) with the storage as a constant */
#define FOR_STORAGE(m, call, ...)                                                                                      \
  switch ((m)->storage) {                                                                                              \
    case STORED_F32: call(STORED_F32, __VA_ARGS__); break;                                                             \
    case STORED_BF16: call(STORED_BF16, __VA_ARGS__); break;                                                           \
    case STORED_F16: call(STORED_F16, __VA_ARGS__); break;                                                             \
    case STORED_INT8: call(STORED_INT8, __VA_ARGS__); break;                                                           \
    case STORED_NF4: call(STORED_NF4, __VA_ARGS__); break;                                                             \
    case STORED_FP4: call(STORED_FP4, __VA_ARGS__); break;                                                             \
    default: __builtin_unreachable(); /* callers have checked it */                                                    \
  }

static void unpack(const stored *m, int64_t row, int64_t column, int64_t n, float *d) {
  FOR_STORAGE(m, unpack_as, m, row, column, n, d)
}

#endif
