/* One vector type for every instruction set, from the compiler's vector extensions. Only the multiply-add, the pin and
 * the half-precision conversions name an instruction set.
 *
 * Units are compiled with -ffp-contract=off: a multiply-add happens where `vfma` is written and nowhere else, so that two
 * inlined copies of one expression can never round differently. */
#ifndef FT_VEC_H
#define FT_VEC_H
#include "common.h"

#include <string.h>
#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#if defined(__AVX512F__)
#define VL 16
#elif defined(__AVX2__)
#define VL 8
#else
#define VL 4
#endif

typedef float vf __attribute__((vector_size(VL * 4)));
typedef float vf_mem __attribute__((vector_size(VL * 4), aligned(4), may_alias));
typedef int32_t vi __attribute__((vector_size(VL * 4)));
typedef uint32_t vu __attribute__((vector_size(VL * 4)));
typedef float f4 __attribute__((vector_size(16)));
typedef float f4_mem __attribute__((vector_size(16), aligned(4), may_alias));

/* a * b + c: fused in AVX2, AVX-512 and NEON, two roundings in the portable unit */
FT_INLINE vf vfma(vf a, vf b, vf c) {
#if VL == 16
  return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif VL == 8
  return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
  return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return a * b + c;
#endif
}

/* Keeps a value in a register: gcc otherwise spills operands that many rows of a register tile share. */
#if VL == 16
#define PIN(x) __asm__("" : "+v"(x))
#elif VL == 8 || defined(__SSE2__)
#define PIN(x) __asm__("" : "+x"(x))
#elif defined(__aarch64__)
#define PIN(x) __asm__("" : "+w"(x))
#else
#define PIN(x) (void)(x)
#endif

FT_INLINE vf splat(float x) { return x - (vf){0}; }
FT_INLINE vf load(const float *p) { return *(const vf_mem *)p; }
FT_INLINE void store(float *p, vf x) { *(vf_mem *)p = x; }

/* the first n lanes, n <= VL; the rest is 0. Tails run through the same arithmetic as full vectors. */
FT_INLINE vf load_n(const float *p, int64_t n) {
  if (n >= VL) return load(p);
  vf x = {0};
  memcpy(&x, p, (size_t)n * 4);
  return x;
}
FT_INLINE void store_n(float *p, vf x, int64_t n) {
  if (n >= VL) store(p, x);
  else memcpy(p, &x, (size_t)n * 4);
}

FT_INLINE vf pick(vi mask, vf yes, vf no) { return (vf)((mask & (vi)yes) | (~mask & (vi)no)); }
/* NaN in either operand gives NaN */
FT_INLINE vf vmin(vf a, vf b) { return pick((a < b) | (a != a), a, b); }
FT_INLINE vf vmax(vf a, vf b) { return pick((a > b) | (a != a), a, b); }

/* a where a > b, else b: b where either is NaN. One instruction on x86. */
FT_INLINE vf vgreater(vf a, vf b) {
#if VL == 16
  return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif VL == 8
  return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#else
  return pick(a > b, a, b);
#endif
}
/* a where a < b, else b */
FT_INLINE vf vless(vf a, vf b) {
#if VL == 16
  return (vf)_mm512_min_ps((__m512)a, (__m512)b);
#elif VL == 8
  return (vf)_mm256_min_ps((__m256)a, (__m256)b);
#else
  return pick(a < b, a, b);
#endif
}

/* lanes added as a fixed tree */
FT_INLINE float hsum(vf x) {
  float v[VL];
  memcpy(v, &x, sizeof v);
  for (int half = VL / 2; half; half /= 2)
    for (int i = 0; i < half; i++) v[i] += v[i + half];
  return v[0];
}
FT_INLINE float hmax(vf x) {
  float v[VL], m;
  memcpy(v, &x, sizeof v);
  m = v[0];
  for (int i = 1; i < VL; i++) m = v[i] > m || v[i] != v[i] ? v[i] : m;
  return m;
}

FT_INLINE vf vsqrt(vf x) {
#if VL == 16
  return (vf)_mm512_sqrt_ps((__m512)x);
#elif VL == 8
  return (vf)_mm256_sqrt_ps((__m256)x);
#elif defined(__aarch64__)
  return (vf)vsqrtq_f32((float32x4_t)x);
#else
  for (int i = 0; i < VL; i++) x[i] = __builtin_sqrtf(x[i]);
  return x;
#endif
}

/* e^x. Cody-Waite reduction to |r| <= ln2/2, a degree-7 Taylor polynomial (its truncation, r^8/8!, is below 6e-9), and
 * 2^n in two exact steps so that subnormal results round once. At most 2 ulp for normal results; overflows to Inf,
 * underflows to 0, keeps NaN. */
FT_INLINE vf vexp(vf x) {
  const vf log2e = splat(1.44269504088896340736f), magic = splat(12582912.0f);
  const vf ln2_hi = splat(0.693359375f), ln2_lo = splat(-2.12194440054690583e-4f);
  vf c = vgreater(splat(-105), vless(splat(89), x)); /* a NaN stays, and through every step below */
  vf t = c * log2e + magic;
  vf n = t - magic;
  vf r = vfma(-n, ln2_hi, c);
  r = vfma(-n, ln2_lo, r);
  vf p = splat(1.0f / 5040);
  p = vfma(p, r, splat(1.0f / 720));
  p = vfma(p, r, splat(1.0f / 120));
  p = vfma(p, r, splat(1.0f / 24));
  p = vfma(p, r, splat(1.0f / 6));
  p = vfma(p, r, splat(0.5f));
  p = vfma(p, r * r, r) + 1.0f;
  vi k = (vi)t - 0x4b400000; /* the integer in the low mantissa bits of t */
  vi first = k >> 1, second = k - first;
  return p * (vf)((vu)(first + 127) << 23) * (vf)((vu)(second + 127) << 23);
}
#endif
