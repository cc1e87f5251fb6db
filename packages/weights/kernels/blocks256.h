/*
 * The K formats: 256 values in parts that have scales of their own, whole numbers under an f16 scale of the block. Each function writes
 * one block, and returns 0 when that scale does not fit into f16. The layouts are in src/gguf-blocks/; the arithmetic is that of
 * quantize_row_q4_K_ref, q5_K and q6_K in ggml (MIT), in its order.
 */
#pragma once
#include "search.h"

/* Value i of four parts, beginning with part `first`. */
static inline void take_lanes(const float *x, int first, int part, f32x4 *lanes) {
  const float *at = x + first * part;
  for (int i = 0; i < part; i++) lanes[i] = (f32x4){at[i], at[part + i], at[2 * part + i], at[3 * part + i]};
}

/* Codes 0 to 15 or 31 of all values, the packed scales and minima, and the two scales of the block: what Q4_K and Q5_K share. */
static inline int affine_parts(const float *x, int top, float first, int steps, uint8_t *y, uint8_t *codes) {
  float scales[8], minima[8], inverses[8], origins[8], most_scale = 0, most_minimum = 0;
  for (int group = 0; group < 8; group += 4) {
    f32x4 lanes[32];
    take_lanes(x, group, 32, lanes);
    const affine_fit fit = fit_affine(lanes, top, first, steps);
    for (int lane = 0; lane < 4; lane++) {
      const int part = group + lane;
      scales[part] = fit.scale[lane];
      minima[part] = fit.minimum[lane];
      inverses[part] = fit.inverse[lane];
      origins[part] = fit.origin[lane];
      if (scales[part] > most_scale) most_scale = scales[part];
      if (minima[part] > most_minimum) most_minimum = minima[part];
    }
  }
  const uint16_t block_scale = half_of(most_scale / 63.0f), block_minimum = half_of(most_minimum / 63.0f);
  store_half(y, block_scale);
  store_half(y + 2, block_minimum);
  const float per_scale = most_scale > 0 ? 63.0f / most_scale : 0, per_minimum = most_minimum > 0 ? 63.0f / most_minimum : 0;
  uint8_t *packed = y + 4;
  for (int part = 0; part < 8; part++) {
    uint8_t scale = (uint8_t)nearest(per_scale * scales[part]); /* a scale below 0 wraps around, and is 63 in the end */
    uint8_t minimum = (uint8_t)nearest(per_minimum * minima[part]);
    if (scale > 63) scale = 63;
    if (minimum > 63) minimum = 63;
    if (part < 4) {
      packed[part] = scale;
      packed[part + 4] = minimum;
    } else {
      packed[part + 4] = (scale & 15) | (minimum & 15) << 4;
      packed[part - 4] |= scale >> 4 << 6;
      packed[part] |= minimum >> 4 << 6;
    }
    const float d = f32_of_half(block_scale) * scale, m = f32_of_half(block_minimum) * minimum;
    for (int i = 32 * part; i < 32 * part + 32; i += 4) {
      const f32x4 four = {x[i], x[i + 1], x[i + 2], x[i + 3]};
      /* the codes of the search stay where the rounded scale is 0 */
      const f32x4 ratio = d != 0 ? (four + m) / d : inverses[part] * (four - origins[part]);
      const i32x4 code = clamp4(nearest4(ratio), 0, top);
      for (int lane = 0; lane < 4; lane++) codes[i + lane] = code[lane];
    }
  }
  return is_finite_half(block_scale) && is_finite_half(block_minimum);
}

static int quantize_q4_k(const float *x, uint8_t *y) {
  uint8_t codes[256], *nibbles = y + 16;
  const int fits = affine_parts(x, 15, -1.0f, 20, y, codes);
  for (int pair = 0; pair < 4; pair++)
    for (int i = 0; i < 32; i++) nibbles[32 * pair + i] = codes[64 * pair + i] | codes[64 * pair + 32 + i] << 4;
  return fits;
}

static int quantize_q5_k(const float *x, uint8_t *y) {
  uint8_t codes[256], *high = y + 16, *nibbles = y + 48;
  const int fits = affine_parts(x, 31, -0.5f, 15, y, codes);
  for (int i = 0; i < 32; i++) high[i] = 0;
  for (int pair = 0; pair < 4; pair++)
    for (int i = 0; i < 32; i++) {
      const uint8_t first = codes[64 * pair + i], second = codes[64 * pair + 32 + i];
      nibbles[32 * pair + i] = (first & 15) | (second & 15) << 4;
      high[i] |= (first >> 4) << 2 * pair | (second >> 4) << (2 * pair + 1);
    }
  return fits;
}

static int quantize_q6_k(const float *x, uint8_t *y) {
  float scales[16], inverses[16], most = 0, extreme = 0;
  int zero[16];
  for (int group = 0; group < 16; group += 4) {
    f32x4 lanes[16];
    take_lanes(x, group, 16, lanes);
    const symmetric_fit fit = fit_symmetric(lanes);
    for (int lane = 0; lane < 4; lane++) {
      const int part = group + lane;
      scales[part] = fit.scale[lane];
      inverses[part] = fit.inverse[lane];
      zero[part] = fit.zero[lane];
      if (__builtin_fabsf(scales[part]) > most) {
        most = __builtin_fabsf(scales[part]);
        extreme = scales[part];
      }
    }
  }
  if (most < negligible) {
    for (int i = 0; i < 210; i++) y[i] = 0;
    return 1;
  }
  const float per_scale = -128.0f / extreme;
  const uint16_t block_scale = half_of(1 / per_scale);
  uint8_t codes[256];
  for (int part = 0; part < 16; part++) {
    const int whole = nearest(per_scale * scales[part]);
    const int8_t scale = whole < 127 ? whole : 127;
    y[192 + part] = scale;
    const float d = f32_of_half(block_scale) * scale;
    for (int i = 16 * part; i < 16 * part + 16; i += 4) {
      const f32x4 four = {x[i], x[i + 1], x[i + 2], x[i + 3]};
      const f32x4 ratio = d != 0 ? four / d : inverses[part] * four;
      const i32x4 code = d == 0 && zero[part] ? (i32x4){0, 0, 0, 0} : clamp4(nearest4(ratio), -32, 31) + 32;
      for (int lane = 0; lane < 4; lane++) codes[i + lane] = code[lane];
    }
  }
  for (int half = 0; half < 2; half++) {
    const uint8_t *from = codes + 128 * half;
    uint8_t *low = y + 64 * half, *high = y + 128 + 32 * half;
    for (int i = 0; i < 32; i++) {
      low[i] = (from[i] & 15) | (from[64 + i] & 15) << 4;
      low[32 + i] = (from[32 + i] & 15) | (from[96 + i] & 15) << 4;
      high[i] = from[i] >> 4 | from[32 + i] >> 4 << 2 | from[64 + i] >> 4 << 4 | from[96 + i] >> 4 << 6;
    }
  }
  store_half(y + 208, block_scale);
  return is_finite_half(block_scale);
}
