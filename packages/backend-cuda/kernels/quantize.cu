// Blocks of values as codes and a scale, the largest magnitude of the block. A warp has a block at a time and reads it
// twice, the second time from the cache: n values in, n/2 or n bytes and the scales out.
#include "codes.cuh"

/** code of flushed(x) * (1/absmax); the first of a pair in the high nibble, behind the last value a 0. */
template <class T>
__device__ void quantize4bit(const T *x, const f32 *bounds, u8 *codes, f32 *absmax, i64 n, int size, int fp4) {
  __shared__ f32 bound[16];
  if (threadIdx.x < 16) bound[threadIdx.x] = bounds[threadIdx.x];
  __syncthreads();
  const int lane = threadIdx.x & 31;
  const i64 block = globalThread() >> 5, from = block * size;
  if (from >= n) return;
  const int count = (int)min((i64)size, n - from);
  u32 top = 0;
  for (int i = lane; i < count; i += 32) top = max(top, magnitudeBits(widen(x[from + i])));
  const f32 scale = __uint_as_float(warpTop(top)), inverse = approximateReciprocal(scale);
  if (lane == 0) absmax[block] = scale;
  for (int pair = lane; 2 * pair < count; pair += 32) {
    int both = 0;
#pragma unroll
    for (int i = 0; i < 2; i++) {
      const f32 value = 2 * pair + i < count ? flushed(widen(x[from + 2 * pair + i])) : 0.f;
      const f32 scaled = __fmul_rn(value, inverse);
      int code = below16(fp4 ? fabsf(scaled) : scaled, bound);
      // magnitudes of FP4 codes rise as 0 1 6 7 4 5 2 3; a subnormal product is 0, which has no sign
      if (fp4) code = (code ^ (code & 2) << 1) | (scaled <= -1.17549435e-38f ? 8 : 0);
      both = both << 4 | code;
    }
    codes[from / 2 + pair] = (u8)both;
  }
}

template <class T>
__device__ void quantize8bit(const T *x, const f32 *bounds, const u8 *keys, u8 *codes, f32 *absmax, i64 n, int size,
                             int signs) {
  __shared__ alignas(16) f32 bound[256];
  __shared__ alignas(16) u8 key[2 * KEYS];
  stage(bound, bounds, sizeof bound);
  stage(key, keys, sizeof key);
  __syncthreads();
  const int lane = threadIdx.x & 31;
  for (i64 block = globalThread() >> 5; block * size < n; block += globalThreads() >> 5) {
    const i64 from = block * size;
    const int count = (int)min((i64)size, n - from);
    u32 top = 0;
    for (int i = lane; i < count; i += 32) top = max(top, magnitudeBits(widen(x[from + i])));
    const f32 scale = __uint_as_float(warpTop(top)), inverse = approximateReciprocal(scale);
    if (lane == 0) absmax[block] = scale;
    for (int i = lane; i < count; i += 32) {
      const f32 value = widen(x[from + i]);
      const int code = code8(__fmul_rn(flushed(value), inverse), key, bound);
      codes[from + i] = (u8)(signs ? sameSign(code, value) : code);
    }
  }
}

#define ENTRY(name, T)                                                                                                  \
  extern "C" __global__ void quantize_4bit_##name(const T *x, const f32 *bounds, u8 *codes, f32 *absmax, i64 n, int size, \
                                                  int fp4) {                                                            \
    quantize4bit<T>(x, bounds, codes, absmax, n, size, fp4);                                                            \
  }                                                                                                                     \
  extern "C" __global__ void quantize_8bit_##name(const T *x, const f32 *bounds, const u8 *keys, u8 *codes, f32 *absmax, \
                                                  i64 n, int size, int signs) {                                         \
    quantize8bit<T>(x, bounds, keys, codes, absmax, n, size, signs);                                                    \
  }
FLOATS(ENTRY)
