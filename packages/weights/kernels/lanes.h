/* Four floats or ints at a time, halves, and conversions with the results of ggml's reference on x86-64. */
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef float f32x4 __attribute__((vector_size(16)));
typedef int32_t i32x4 __attribute__((vector_size(16)));

static inline float f32_of_bits(uint32_t bits) {
  union { uint32_t bits; float value; } u = {bits};
  return u.value;
}

static inline uint32_t bits_of_f32(float value) {
  union { float value; uint32_t bits; } u = {value};
  return u.bits;
}

static inline f32x4 splat(float v) { return (f32x4){v, v, v, v}; }

/* `yes` where the mask is all ones, `no` where it is zero. */
static inline f32x4 select(i32x4 mask, f32x4 yes, f32x4 no) {
  return (f32x4)(((i32x4)yes & mask) | ((i32x4)no & ~mask));
}

static inline f32x4 absolute(f32x4 v) { return (f32x4)((i32x4)v & 0x7fffffff); }

/*
 * The nearest whole number, ties to even: adding 1.5·2^23 leaves it in the low bits of the sum. Beyond 2^22 the bits are some other
 * number, and are kept: ggml has the same there.
 */
static inline i32x4 nearest4(f32x4 v) { return ((i32x4)(v + 12582912.0f) & 0x007fffff) - 0x00400000; }

static inline int32_t nearest(float v) { return (int32_t)(bits_of_f32(v + 12582912.0f) & 0x007fffff) - 0x00400000; }

static inline i32x4 clamp4(i32x4 v, int32_t low, int32_t high) {
  const i32x4 lows = {low, low, low, low}, highs = {high, high, high, high};
  return __builtin_elementwise_max(__builtin_elementwise_min(v, highs), lows);
}

static inline f32x4 floats4(i32x4 v) { return __builtin_convertvector(v, f32x4); }

static inline int clamp(int v, int low, int high) { return v < low ? low : v > high ? high : v; }

/* Cut to a whole number; x86's answer where there is none: the reciprocal of a subnormal scale is infinite. */
static inline int32_t cut(float v) { return v > -2147483648.0f && v < 2147483648.0f ? (int32_t)v : INT32_MIN; }

/* Rounded to nearest even; 65,520 and more is infinity. */
static inline uint16_t half_of(float v) {
  const uint32_t bits = bits_of_f32(v), sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x47800000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13);
  /* below 2^-14: adding 0.5 leaves multiples of 2^-24 in the low bits, rounded by the addition */
  return sign | (bits_of_f32(f32_of_bits(magnitude) + 0.5f) - 0x3f000000);
}

static inline float f32_of_half(uint16_t half) {
  const uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = (half >> 10) & 31, mantissa = half & 0x3ff;
  if (exponent == 0) return f32_of_bits(sign | bits_of_f32((float)mantissa * 0x1p-24f));
  return f32_of_bits(sign | ((exponent == 31 ? 255 : exponent + 112) << 23) | mantissa << 13);
}

static inline int is_finite_half(uint16_t half) { return (half & 0x7c00) != 0x7c00; }

static inline void store_half(uint8_t *at, uint16_t half) {
  at[0] = half & 255;
  at[1] = half >> 8;
}
