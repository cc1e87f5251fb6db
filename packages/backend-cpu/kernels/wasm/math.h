/* What the kernels take from the C library's mathematics. */
#ifndef FT_WASM_MATH_H
#define FT_WASM_MATH_H
#include <stdint.h>

#define INFINITY __builtin_inff()
#define sqrtf(x) __builtin_sqrtf(x)

static inline double ft_from_bits(uint64_t bits) {
  double x;
  __builtin_memcpy(&x, &bits, 8);
  return x;
}

/* ln x = n ln2 + 2 atanh(s) with s = (m - 1) / (m + 1), m in [sqrt(1/2), sqrt(2)): |s| < 0.172, s^25 / 25 below 3e-21 */
static inline double log(double x) {
  if (!(x > 0) || x - x != 0) return x == 0 ? -INFINITY : x > 0 ? x : __builtin_nan("");
  int64_t n = 0;
  if (x < 0x1p-1022) x *= 0x1p54, n = -54;
  uint64_t bits;
  __builtin_memcpy(&bits, &x, 8);
  n += (int64_t)(bits >> 52) - 1023;
  double m = ft_from_bits((bits & 0x000fffffffffffff) | 0x3ff0000000000000);
  if (m > 1.4142135623730951) m /= 2, n++;
  double s = (m - 1) / (m + 1), square = s * s, sum = 0;
  for (int i = 23; i > 0; i -= 2) sum = sum * square + 1.0 / i;
  return (double)n * 0.6931471805599453 + 2 * s * sum;
}

#endif
