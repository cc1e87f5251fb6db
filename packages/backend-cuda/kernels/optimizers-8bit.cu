// Adam and AdamW over moments in 8-bit codes, block by block: decoding, the step, the new scales and codes in one pass, to
// the bit what the four kernels alone give. A warp has a block of 256, eight elements to a lane, in registers throughout.
#include "codes.cuh"
#include "optimizer-steps.cuh"

#define BLOCK 256

struct Codec {
  f32 map[256], bound[256];
};

/** What a block's scale multiplies values by, from the largest magnitude of its lanes. */
template <int SIGNED>
__device__ __forceinline__ void encode(const f32 (&x)[8], const Codec &codec, const u8 *keys, u8 (&codes)[8], f32 *absmax) {
  u32 top = 0;
#pragma unroll
  for (int i = 0; i < 8; i++) top = max(top, magnitudeBits(x[i]));
  const f32 scale = __uint_as_float(warpTop(top)), inverse = approximateReciprocal(scale);
  if ((threadIdx.x & 31) == 0) *absmax = scale;
#pragma unroll
  for (int i = 0; i < 8; i++) {
    const int code = code8(__fmul_rn(flushed(x[i]), inverse), keys, codec.bound);
    codes[i] = (u8)(SIGNED ? sameSign(code, x[i]) : code);
  }
}

template <class T> __device__ __forceinline__ void load8(T (&to)[8], const T *from, int count, int packed) {
  const int width = sizeof(T) == 1 ? 8 : PackWidth<T>::value;
  if (packed && count == 8)
#pragma unroll
    for (int i = 0; i < 8; i += width) *(Pack<T, width> *)(to + i) = *(const Pack<T, width> *)(from + i);
  else
#pragma unroll
    for (int i = 0; i < 8; i++) to[i] = i < count ? from[i] : (T)0;
}
template <class T> __device__ __forceinline__ void keep8(T *to, const T (&from)[8], int count, int packed) {
  const int width = sizeof(T) == 1 ? 8 : PackWidth<T>::value;
  if (packed && count == 8)
#pragma unroll
    for (int i = 0; i < 8; i += width) *(Pack<T, width> *)(to + i) = *(const Pack<T, width> *)(from + i);
  else
#pragma unroll
    for (int i = 0; i < 8; i++)
      if (i < count) to[i] = from[i];
}

/** m by the signed map, each code with the sign of its value; v by the unsigned one. Results may lie where inputs do. */
template <class P, class G>
__device__ void adam8bit(const P *param, const G *grad, const u8 *m, const f32 *mAbsmax, const u8 *v, const f32 *vAbsmax,
                         const AdamRates &rates, const Codec &forM, const u8 *mKeys, const Codec &forV, const u8 *vKeys,
                         P *nextParam, u8 *nextM, f32 *nextMAbsmax, u8 *nextV, f32 *nextVAbsmax, i64 n, int packed) {
  const int lane = threadIdx.x & 31;
  for (i64 block = globalThread() >> 5; block * BLOCK < n; block += globalThreads() >> 5) {
    const i64 at = block * BLOCK + lane * 8;
    const int count = (int)max((i64)0, min((i64)8, n - at));
    alignas(16) P p[8];
    alignas(16) G g[8];
    alignas(8) u8 codeM[8], codeV[8];
    load8(p, param + at, count, packed);
    load8(g, grad + at, count, packed);
    load8(codeM, m + at, count, packed);
    load8(codeV, v + at, count, packed);
    const f32 scaleM = mAbsmax[block], scaleV = vAbsmax[block];
    f32 a[8], b[8];
#pragma unroll
    for (int i = 0; i < 8; i++) {
      f32 x = widen(p[i]);
      a[i] = __fmul_rn(forM.map[codeM[i]], scaleM);
      b[i] = __fmul_rn(forV.map[codeV[i]], scaleV);
      adamStep(rates, x, widen(g[i]), a[i], b[i]);
      p[i] = narrow<P>(x);
      if (i >= count) a[i] = b[i] = 0.f;
    }
    __syncwarp(); // all lanes have read the scales, which may be written in place
    encode<1>(a, forM, mKeys, codeM, nextMAbsmax + block);
    encode<0>(b, forV, vKeys, codeV, nextVAbsmax + block);
    keep8(nextParam + at, p, count, packed);
    keep8(nextM + at, codeM, count, packed);
    keep8(nextV + at, codeV, count, packed);
  }
}

#define ENTRY(name, P, G)                                                                                             \
  extern "C" __global__ void __launch_bounds__(256, 4) adam_8bit_##name(                                                 \
      const P *param, const G *grad, const u8 *m, const f32 *mAbsmax, const u8 *v, const f32 *vAbsmax, const f32 *lr, \
      const f32 *correction1, const f32 *correction2, P *nextParam, u8 *nextM, f32 *nextMAbsmax, u8 *nextV,           \
      f32 *nextVAbsmax, const f32 *mMap, const f32 *mBounds, const u8 *mKeys, const f32 *vMap, const f32 *vBounds,    \
      const u8 *vKeys, i64 n, f32 beta1, f32 rest1, f32 beta2, f32 rest2, f32 eps, f32 decay, int order, int packed) { \
    __shared__ alignas(16) Codec forM, forV;                                                                          \
    __shared__ alignas(16) u8 keysM[2 * KEYS], keysV[2 * KEYS];                                                       \
    stage(forM.map, mMap, 1024);                                                                                      \
    stage(forM.bound, mBounds, 1024);                                                                                 \
    stage(forV.map, vMap, 1024);                                                                                      \
    stage(forV.bound, vBounds, 1024);                                                                                 \
    stage(keysM, mKeys, 2 * KEYS);                                                                                    \
    stage(keysV, vKeys, 2 * KEYS);                                                                                    \
    __syncthreads();                                                                                                  \
    const AdamRates rates(beta1, rest1, beta2, rest2, eps, decay, order, lr, correction1, correction2);               \
    adam8bit<P, G>(param, grad, m, mAbsmax, v, vAbsmax, rates, forM, keysM, forV, keysV, nextParam, nextM,            \
                   nextMAbsmax, nextV, nextVAbsmax, n, packed);                                                       \
  }
ENTRY(f32_f32, f32, f32)
ENTRY(f32_bf16, f32, bf16)
ENTRY(f32_f16, f32, f16)
ENTRY(bf16_bf16, bf16, bf16)
ENTRY(bf16_f32, bf16, f32)
ENTRY(f16_f16, f16, f16)
ENTRY(f16_f32, f16, f32)
