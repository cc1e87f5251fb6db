// f32 to bf16 by chance: towards the neighbour further from 0 with a probability of what truncation cuts off. On bits: the
// low 16 of the 32 are cut, and one is added to the rest where a 24-bit uniform number u is below them, u · 2^16 < low.
// Element i draws word i mod 4 of the counter (j div 4, 0, step, 0), j = i mod 2^22, under the key (seed, stream + i div 2^22).
// Bytes: 4 read, 2 written an element.
#include "chunk.cuh"
#include "philox.cuh"

__device__ __forceinline__ bf16 roundedByChance(f32 x, u32 word) {
  const u32 bits = __float_as_uint(x);
  const f32 size = fabsf(x);
  // what no weight reaches, infinities and NaN go to the nearest
  if (!(size < 0x1p100f)) return narrow<bf16>(x);
  if (size < 0x1p-100f) {
    // down there the spacing stays that of 2^-100
    const f32 steps = size * 0x1p107f, whole = floorf(steps);
    const f32 up = (f32)(word >> 8) * 0x1p-24f < steps - whole ? whole + 1 : whole;
    return narrow<bf16>(copysignf(up * 0x1p-107f, x));
  }
  const u32 up = (word >> 8) < ((bits & 0xffffu) << 8) ? 1u : 0u;
  return __ushort_as_bfloat16((unsigned short)((bits >> 16) + up));
}

extern "C" __global__ void round_stochastic(const f32 *__restrict__ x, const f32 *__restrict__ step, int seed, int stream,
                                            i64 n, int aligned, bf16 *__restrict__ y) {
  const u32 at = (u32)(int)*step;
  const i64 i = globalThread() * 4;
  if (i >= n) return;
  // 2^22 is a multiple of four: one counter serves a thread
  const u32 block = (u32)(i >> 22), j = (u32)(i & 0x3fffff);
  const uint4 words = philox4x32(j >> 2, 0, at, 0, (u32)seed, (u32)stream + block);
  const u32 word[4] = {words.x, words.y, words.z, words.w};
  if (aligned && i + 4 <= n) {
    Chunk<4, f32> c;
    c.load(x + i);
    Chunk<4, bf16> out;
#pragma unroll
    for (int k = 0; k < 4; k++) out.v[k] = roundedByChance(c[k], word[k]);
    out.store(y + i);
  } else
    for (int k = 0; k < 4 && i + k < n; k++) y[i + k] = roundedByChance(x[i + k], word[k]);
}
