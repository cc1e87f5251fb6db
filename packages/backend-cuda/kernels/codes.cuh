// How values become 4- and 8-bit codes of a block, and codes values again: what quantize.cu, dequantize.cu and the 8-bit
// optimizers share. Every rounding is written out (no fused multiply-add), since codes must be the same bytes everywhere.
#pragma once
#include "common.cuh"

/** Subnormal numbers count as 0, as in kernels that are compiled with flush to zero. */
__device__ __forceinline__ f32 flushed(f32 x) { return (__float_as_uint(x) & 0x7fffffffu) < 0x00800000u ? 0.f : x; }

/** Bits of |x|, with 0 for subnormal numbers. They order as magnitudes do, and those of NaN are above all. */
__device__ __forceinline__ u32 magnitudeBits(f32 x) {
  const u32 bits = __float_as_uint(x) & 0x7fffffffu;
  return bits < 0x00800000u ? 0u : bits;
}

/** 1/x as the card approximates it, infinite for 0: what codes are defined by. */
__device__ __forceinline__ f32 approximateReciprocal(f32 x) {
  f32 y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/** How many of 15 ascending bounds are below x; none for NaN. */
__device__ __forceinline__ int below16(f32 x, const f32 *bounds) {
  int code = x > bounds[7] ? 8 : 0;
  if (x > bounds[code + 3]) code += 4;
  if (x > bounds[code + 1]) code += 2;
  if (x > bounds[code]) code += 1;
  return code;
}

// Keys: the upper 16 bits of a magnitude, sign apart, from those of 2^-23 to those of 1; smaller ones share the first.
// No key has more than one bound among its values, so that a table of the bounds below each key leaves one comparison.
#define FIRST_KEY 13312
#define KEYS 2960

/** The code of a scaled value: how many of 255 ascending bounds (and an infinite one) are below it; 0 for NaN. */
__device__ __forceinline__ int code8(f32 x, const u8 *keys, const f32 *bounds) {
  const u32 bits = __float_as_uint(x);
  const int key = min(max((int)(bits >> 16 & 0x7fff) - FIRST_KEY + 1, 0), 16256 - FIRST_KEY + 1);
  const int code = keys[(bits >> 31) * KEYS + key];
  return x == x ? code + (x > bounds[code] ? 1 : 0) : 0;
}

/** One code on, or back, where the code (below 127: negative) has another sign than the value; 0 goes back, to 255. */
__device__ __forceinline__ int sameSign(int code, f32 x) {
  const bool other = (code < 127) != (__float_as_uint(x) >> 31 != 0);
  return (other ? (x >= 1.17549435e-38f ? code + 1 : code - 1) : code) & 255;
}

/** The largest bits over a warp. */
__device__ __forceinline__ u32 warpTop(u32 x) { return __reduce_max_sync(0xffffffffu, x); }

/** A table from global to shared memory, by all threads of a block; sizes are multiples of 16 bytes. */
__device__ __forceinline__ void stage(void *to, const void *from, int bytes) {
  for (int i = threadIdx.x; i < bytes / 16; i += blockDim.x) ((uint4 *)to)[i] = ((const uint4 *)from)[i];
}
