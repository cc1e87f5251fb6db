// What every kernel stands on: the four float types and how each is widened, packs that move 16 bytes at a time, sums
// over a warp and a block. Kernels compute in f32 (f64 for f64) and round once, to nearest even.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>

typedef long long i64;
typedef unsigned char u8;
typedef unsigned int u32;
typedef __nv_bfloat16 bf16;
typedef __half f16;
typedef float f32;
typedef double f64;

/** What a type is computed in. */
template <class T> struct WideOf { typedef f32 type; };
template <> struct WideOf<f64> { typedef f64 type; };
template <class T> using Wide = typename WideOf<T>::type;

__device__ __forceinline__ f64 widen(f64 x) { return x; }
__device__ __forceinline__ f32 widen(f32 x) { return x; }
__device__ __forceinline__ f32 widen(bf16 x) { return __bfloat162float(x); }
__device__ __forceinline__ f32 widen(f16 x) { return __half2float(x); }

template <class T> __device__ __forceinline__ T narrow(Wide<T> x);
template <> __device__ __forceinline__ f64 narrow<f64>(f64 x) { return x; }
template <> __device__ __forceinline__ f32 narrow<f32>(f32 x) { return x; }
template <> __device__ __forceinline__ bf16 narrow<bf16>(f32 x) { return __float2bfloat16_rn(x); }
template <> __device__ __forceinline__ f16 narrow<f16>(f32 x) { return __float2half_rn(x); }

/** N neighbours that move as one; 16 bytes is the widest access. The address must be a multiple of its size. */
template <class T, int N> struct alignas(sizeof(T) * N) Pack { T v[N]; };
template <class T> struct PackWidth { static const int value = 16 / sizeof(T); };

__device__ __forceinline__ i64 globalThread() { return (i64)blockIdx.x * blockDim.x + threadIdx.x; }
__device__ __forceinline__ i64 globalThreads() { return (i64)gridDim.x * blockDim.x; }

template <class W> __device__ __forceinline__ W warpSum(W x) {
#pragma unroll
  for (int o = 16; o > 0; o >>= 1) x += __shfl_xor_sync(0xffffffffu, x, o);
  return x;
}
template <class W> __device__ __forceinline__ W warpMax(W x) {
#pragma unroll
  for (int o = 16; o > 0; o >>= 1) {
    const W y = __shfl_xor_sync(0xffffffffu, x, o);
    x = y > x ? y : x;
  }
  return x;
}
/** The sum over the block, in every thread; in a fixed order. All threads call it; blockDim.x is a multiple of 32. */
template <class W> __device__ __forceinline__ W blockSum(W x) {
  __shared__ W parts[32];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
  x = warpSum(x);
  __syncthreads();
  if (lane == 0) parts[warp] = x;
  __syncthreads();
  return warpSum(lane < warps ? parts[lane] : (W)0);
}
/** The maximum over the block, likewise. */
template <class W> __device__ __forceinline__ W blockMax(W x) {
  __shared__ W parts[32];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
  x = warpMax(x);
  __syncthreads();
  if (lane == 0) parts[warp] = x;
  __syncthreads();
  return warpMax(lane < warps ? parts[lane] : parts[0]);
}

// One entry a dtype: a family writes `#define ENTRY(name, T) extern "C" __global__ void add_##name(...) { add<T>(...); }`
// and then FLOATS(ENTRY), so that the names are add_f32, add_bf16, add_f16.
#define FLOATS(M) M(f32, f32) M(bf16, bf16) M(f16, f16)
#define ALL_FLOATS(M) FLOATS(M) M(f64, f64)
