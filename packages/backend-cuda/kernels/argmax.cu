// Index of the first largest value of each row, in two passes: parts of a row by a block each, then the parts of a row in
// order. Reads x once. Nothing is larger than a NaN: one in front of a row stays, others are passed over.
#include "chunk.cuh"

#define THREADS 256
#define WARPS (THREADS / 32)
#define NOWHERE 0x7fffffff

/** The larger of two, and of equals the one in front; `place` is NOWHERE where there is nothing. */
struct Best {
  f32 value;
  int place;
};
__device__ __forceinline__ Best better(Best a, Best b) {
  const bool other = b.place != NOWHERE && (a.place == NOWHERE || b.value > a.value || (b.value == a.value && b.place < a.place));
  return other ? b : a;
}
__device__ __forceinline__ Best warpBest(Best x) {
#pragma unroll
  for (int o = 16; o > 0; o >>= 1) {
    Best y;
    y.value = __shfl_xor_sync(0xffffffffu, x.value, o);
    y.place = __shfl_xor_sync(0xffffffffu, x.place, o);
    x = better(x, y);
  }
  return x;
}
/** The best of the block, in the first warp. */
__device__ __forceinline__ Best blockBest(Best x) {
  __shared__ Best parts[WARPS];
  x = warpBest(x);
  if ((threadIdx.x & 31) == 0) parts[threadIdx.x >> 5] = x;
  __syncthreads();
  const int lane = threadIdx.x & 31;
  return warpBest(parts[lane < WARPS ? lane : 0]);
}

/** values, places[row, part]: blocks are [parts, rows], `each` elements to a part. */
template <int N, class T>
__device__ __forceinline__ void argmaxPart(const T* x, int width, int each, f32* values, int* places) {
  const int from = blockIdx.x * each, end = min(from + each, width);
  x += (i64)blockIdx.y * width;
  Best best = {0.0f, NOWHERE};
  // a thread goes forward: what comes later must be larger
  const auto take = [&](f32 v, int i) {
    if (v > best.value || (best.place == NOWHERE && v == v)) best = {v, i};
  };
#pragma unroll 4
  for (int i = from + threadIdx.x * N; i < end; i += THREADS * N) {
    Chunk<N, T> c;
    c.load(x + i);
#pragma unroll
    for (int e = 0; e < N; e++) take(c[e], i + e);
  }
  best = blockBest(best);
  if (threadIdx.x == 0) {
    const i64 at = (i64)blockIdx.y * gridDim.x + blockIdx.x;
    values[at] = best.value;
    places[at] = best.place;
  }
}

/** A block a row. */
template <class T>
__device__ __forceinline__ void argmaxJoin(const T* x, int width, const f32* values, const int* places, int parts, int* y) {
  const i64 row = blockIdx.x;
  Best best = {0.0f, NOWHERE};
  for (int i = threadIdx.x; i < parts; i += THREADS) best = better(best, {values[row * parts + i], places[row * parts + i]});
  best = blockBest(best);
  if (threadIdx.x > 0) return;
  const f32 first = widen(x[row * width]);
  y[row] = best.place == NOWHERE || first != first ? 0 : best.place;
}

// in whole chunks, width and `each` are multiples of them
#define ENTRY(name, T)                                                                                                 \
  extern "C" __global__ void __launch_bounds__(THREADS) argmax_part_##name(                                            \
      const T* __restrict__ x, int width, int each, int aligned, float* __restrict__ values, int* __restrict__ places) { \
    if (aligned) argmaxPart<16 / sizeof(T), T>(x, width, each, values, places);                                        \
    else argmaxPart<1, T>(x, width, each, values, places);                                                             \
  }                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(THREADS) argmax_join_##name(                                            \
      const T* __restrict__ x, int width, const float* __restrict__ values, const int* __restrict__ places, int parts, \
      int* __restrict__ y) {                                                                                           \
    argmaxJoin<T>(x, width, values, places, parts, y);                                                                 \
  }
FLOATS(ENTRY)
