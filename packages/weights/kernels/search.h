/*
 * The searches for scales behind the K formats. Four parts of a block are searched side by side, one in each lane, so that every sum has
 * the order, and with it the rounding, of ggml's make_qkx2_quants and make_qx_quants (MIT).
 */
#pragma once
#include "lanes.h"

/* value ≈ scale·code - minimum, codes of 0 to `top`; the codes found are nearest((value - origin)·inverse). */
typedef struct {
  f32x4 scale, minimum, inverse, origin;
} affine_fit;

static inline f32x4 affine_codes(f32x4 x, f32x4 origin, f32x4 inverse, int top) {
  return floats4(clamp4(nearest4(inverse * (x - origin)), 0, top));
}

/*
 * Tries the inverse scales (first + 0.1·s + top) / range for s of 0 to `steps`; each gives codes, and these the scale and minimum of least
 * weighted squares. Weights are |x| + the root of the mean square of the 32 values.
 */
static inline affine_fit fit_affine(const f32x4 x[32], int top, float first, int steps) {
  f32x4 weights[32], squares = splat(0);
  for (int i = 0; i < 32; i++) squares += x[i] * x[i];
  const f32x4 mean = squares / 32.0f;
  f32x4 root;
  for (int lane = 0; lane < 4; lane++) root[lane] = __builtin_sqrtf(mean[lane]);
  for (int i = 0; i < 32; i++) weights[i] = root + absolute(x[i]);

  f32x4 low = x[0], high = x[0], sum_w = weights[0], sum_x = weights[0] * x[0];
  for (int i = 1; i < 32; i++) {
    low = select(x[i] < low, x[i], low);
    high = select(x[i] > high, x[i], high);
    sum_w += weights[i];
    sum_x += weights[i] * x[i];
  }
  low = select(low > 0.0f, splat(0), low);
  const i32x4 flat = high == low; /* what follows is meaningless there */
  const f32x4 tops = splat(top), lowest = low;
  affine_fit fit = {.inverse = tops / (high - low), .origin = low};
  fit.scale = 1.0f / fit.inverse;
  f32x4 least = splat(0);
  for (int i = 0; i < 32; i++) {
    const f32x4 off = fit.scale * affine_codes(x[i], low, fit.inverse, top) + low - x[i];
    least += weights[i] * (off * off);
  }
  for (int step = 0; step <= steps; step++) {
    const f32x4 inverse = (first + 0.1f * step + top) / (high - low);
    f32x4 codes[32], sum_l = splat(0), sum_l2 = splat(0), sum_xl = splat(0);
    for (int i = 0; i < 32; i++) {
      const f32x4 code = affine_codes(x[i], low, inverse, top), weighted = weights[i] * code;
      codes[i] = code;
      sum_l += weighted;
      sum_l2 += weighted * code;
      sum_xl += weighted * x[i];
    }
    const f32x4 determinant = sum_w * sum_l2 - sum_l * sum_l;
    f32x4 scale = (sum_w * sum_xl - sum_x * sum_l) / determinant;
    f32x4 minimum = (sum_l2 * sum_x - sum_l * sum_xl) / determinant;
    const i32x4 above = minimum > 0.0f;
    scale = select(above, sum_xl / sum_l2, scale);
    minimum = select(above, splat(0), minimum);
    f32x4 error = splat(0);
    for (int i = 0; i < 32; i++) {
      const f32x4 off = scale * codes[i] + minimum - x[i];
      error += weights[i] * (off * off);
    }
    const i32x4 better = (determinant > 0.0f) & (error < least);
    fit.inverse = select(better, inverse, fit.inverse);
    fit.origin = select(better, low, fit.origin);
    fit.scale = select(better, scale, fit.scale);
    least = select(better, error, least);
    low = select(better, minimum, low); /* the next steps start from it */
  }
  fit.scale = select(flat, splat(0), fit.scale);
  fit.minimum = -select(flat, lowest, low);
  fit.inverse = select(flat, splat(0), fit.inverse);
  fit.origin = select(flat, splat(0), fit.origin);
  return fit;
}

/* value ≈ scale·code, codes of -32 to 31, which are nearest(value·inverse); where all values are 0 ggml has code -32 under scale 0. */
typedef struct {
  f32x4 scale, inverse;
  i32x4 zero;
} symmetric_fit;

static const float negligible = 1e-15f;

static inline f32x4 symmetric_codes(f32x4 x, f32x4 inverse) { return floats4(clamp4(nearest4(inverse * x), -32, 31)); }

/* Tries the inverse scales -(32 + 0.1·s) / extreme for s of -9 to 9; each gives codes, and these the scale of least squares, weighted by x². */
static inline symmetric_fit fit_symmetric(const f32x4 x[16]) {
  f32x4 most = splat(0), extreme = splat(0), weights[16], weighted_x[16];
  for (int i = 0; i < 16; i++) {
    const f32x4 magnitude = absolute(x[i]);
    const i32x4 larger = magnitude > most;
    most = select(larger, magnitude, most);
    extreme = select(larger, x[i], extreme);
    weights[i] = x[i] * x[i];
    weighted_x[i] = weights[i] * x[i];
  }
  symmetric_fit fit = {.scale = splat(0), .inverse = splat(0), .zero = most < negligible};
  f32x4 best = splat(0);
  for (int turn = 0; turn <= 18; turn++) {
    const int step = turn == 0 ? 0 : turn <= 9 ? turn - 10 : turn - 9; /* 0 first, then -9 to -1, 1 to 9 */
    const f32x4 inverse = -(32 + 0.1f * step) / extreme;
    f32x4 sum_lx = splat(0), sum_l2 = splat(0);
    for (int i = 0; i < 16; i++) {
      const f32x4 code = symmetric_codes(x[i], inverse);
      sum_lx += weighted_x[i] * code;
      sum_l2 += weights[i] * code * code;
    }
    const f32x4 scale = select(sum_l2 != 0.0f, sum_lx / sum_l2, splat(0));
    i32x4 better = (sum_l2 > 0.0f) & (sum_lx * sum_lx > best * sum_l2);
    if (turn == 0) better = (i32x4){-1, -1, -1, -1};
    fit.scale = select(better, scale, fit.scale);
    fit.inverse = select(better, inverse, fit.inverse);
    best = select(better, scale * sum_lx, best);
  }
  fit.scale = select(fit.zero, splat(0), fit.scale);
  return fit;
}
