/*
 * Blocks of 32 values under one scale. Each function writes one block, and returns 0 when a scale does not fit into f16. The layouts are
 * in src/gguf-blocks/, the arithmetic is that of quantize_row_*_ref in ggml (MIT), in its order.
 */
#pragma once
#include "lanes.h"

/* Value of the largest magnitude; the first of equals. */
static inline float extreme(const float *x) {
  float most = 0, value = 0;
  for (int i = 0; i < 32; i++) {
    const float magnitude = __builtin_fabsf(x[i]);
    if (most < magnitude) {
      most = magnitude;
      value = x[i];
    }
  }
  return value;
}

/* To the nearest, ties away from zero: adding a half would take 0.49999997 to 1. */
static inline float round_away(float v) {
  const float whole = __builtin_truncf(v), rest = v - whole;
  return rest >= 0.5f ? whole + 1 : rest <= -0.5f ? whole - 1 : whole;
}

static inline float reciprocal(float d) { return d != 0 ? 1.0f / d : 0.0f; }

static int quantize_q8_0(const float *x, uint8_t *y) {
  const float d = __builtin_fabsf(extreme(x)) / 127, inverse = reciprocal(d);
  const uint16_t scale = half_of(d);
  store_half(y, scale);
  for (int i = 0; i < 32; i++) y[2 + i] = (uint8_t)cut(round_away(x[i] * inverse));
  return is_finite_half(scale);
}

/* Codes of 0 to 31 as nibbles at y[4], fifth bits at y[0]; of 0 to 15 as nibbles at y[0]. */
static inline void store_codes(const uint8_t *codes, int bits, uint8_t *y) {
  if (bits == 5) {
    uint32_t high = 0;
    for (int i = 0; i < 32; i++) high |= (uint32_t)(codes[i] >> 4 & 1) << i;
    for (int i = 0; i < 4; i++) y[i] = high >> 8 * i & 255;
    y += 4;
  }
  for (int i = 0; i < 16; i++) y[i] = (codes[i] & 15) | (codes[16 + i] & 15) << 4;
}

/* The value of the largest magnitude takes code 0, that is -half of the codes. */
static inline int quantize_symmetric(const float *x, int bits, uint8_t *y) {
  const int half = 1 << (bits - 1), top = 2 * half - 1;
  const float d = extreme(x) / -half, inverse = reciprocal(d);
  const uint16_t scale = half_of(d);
  uint8_t codes[32];
  store_half(y, scale);
  for (int i = 0; i < 32; i++) {
    const int8_t code = (int8_t)cut(x[i] * inverse + (half + 0.5f));
    codes[i] = code < top ? code : top;
  }
  store_codes(codes, bits, y + 2);
  return is_finite_half(scale);
}

static inline int quantize_affine(const float *x, int bits, uint8_t *y) {
  const int top = (1 << bits) - 1;
  float low = x[0], high = x[0];
  for (int i = 1; i < 32; i++) {
    if (x[i] < low) low = x[i];
    if (x[i] > high) high = x[i];
  }
  const float d = (high - low) / top, inverse = reciprocal(d);
  const uint16_t scale = half_of(d), minimum = half_of(low);
  uint8_t codes[32];
  store_half(y, scale);
  store_half(y + 2, minimum);
  for (int i = 0; i < 32; i++) {
    const int8_t code = (int8_t)cut((x[i] - low) * inverse + 0.5f);
    codes[i] = code < top ? code : top;
  }
  store_codes(codes, bits, y + 4);
  return is_finite_half(scale) && is_finite_half(minimum);
}

static int quantize_q4_0(const float *x, uint8_t *y) { return quantize_symmetric(x, 4, y); }
static int quantize_q5_0(const float *x, uint8_t *y) { return quantize_symmetric(x, 5, y); }
static int quantize_q4_1(const float *x, uint8_t *y) { return quantize_affine(x, 4, y); }
static int quantize_q5_1(const float *x, uint8_t *y) { return quantize_affine(x, 5, y); }
