// Between float dtypes, rounding to nearest even. Moves the bytes of both arrays once.
#include "chunk.cuh"

template <class A, class B> __device__ void convert(const A* x, i64 n, int aligned, B* y) {
  constexpr int N = 16 / (sizeof(A) > sizeof(B) ? sizeof(A) : sizeof(B));
  eachChunk<N>(n, aligned, [=](auto width, i64 i) {
    constexpr int W = decltype(width)::value;
    Chunk<W, A> a;
    a.load(x + i);
    Chunk<W, B> b;
#pragma unroll
    for (int j = 0; j < W; j++) b.set(j, a[j]);
    b.store(y + i);
  });
}

#define ENTRY(from, A, to, B)                                                                                         \
  extern "C" __global__ void convert_##from##_##to(const A* __restrict__ x, i64 n, int aligned, B* __restrict__ y) { \
    convert<A, B>(x, n, aligned, y);                                                                                  \
  }                                                                                                                   \
  /* two arrays, the second by the blocks whose y is 1 */                                                             \
  extern "C" __global__ void convert_two_##from##_##to(const A* x0, i64 n0, const A* x1, i64 n1, int aligned, B* y0,  \
                                                       B* y1) {                                                       \
    const bool second = blockIdx.y == 1;                                                                              \
    convert<A, B>(second ? x1 : x0, second ? n1 : n0, aligned, second ? y1 : y0);                                     \
  }
ENTRY(f32, f32, bf16, bf16)
ENTRY(f32, f32, f16, f16)
ENTRY(bf16, bf16, f32, f32)
ENTRY(bf16, bf16, f16, f16)
ENTRY(f16, f16, f32, f32)
ENTRY(f16, f16, bf16, bf16)

// The bias in every row of y [rows, n], for a product to add to.
#define BIAS(name, T)                                                                                               \
  extern "C" __global__ void bias_rows_##name(const void* __restrict__ bias, int dtype, i64 size, int n,           \
                                              T* __restrict__ y) {                                                  \
    for (i64 i = globalThread(); i < size; i += globalThreads()) {                                                  \
      f32 b[1];                                                                                                     \
      loadAny<1>(bias, dtype, i % n, b);                                                                            \
      y[i] = narrow<T>(b[0]);                                                                                       \
    }                                                                                                               \
  }
FLOATS(BIAS)

// Sums over the rows of g [rows, n]: a block takes 32 columns, each of its 32 warps every 32nd row, in a fixed order.
template <class T, class B> __device__ void columnSums(const T* g, int rows, int n, B* out) {
  __shared__ f32 parts[32][33];
  const int column = blockIdx.x * 32 + threadIdx.x % 32, warp = threadIdx.x / 32;
  f32 sum = 0;
  if (column < n)
    for (int row = warp; row < rows; row += 32) sum += widen(g[(i64)row * n + column]);
  parts[warp][threadIdx.x % 32] = sum;
  __syncthreads();
  const f32 total = warpSum(parts[threadIdx.x % 32][warp]);
  if (threadIdx.x % 32 == 0 && blockIdx.x * 32 + warp < n) out[blockIdx.x * 32 + warp] = narrow<B>(total);
}
#define SUMS(from, T, to, B)                                                                                  \
  extern "C" __global__ void column_sums_##from##_##to(const T* __restrict__ g, int rows, int n, B* __restrict__ out) { \
    columnSums<T, B>(g, rows, n, out);                                                                        \
  }
SUMS(f32, f32, f32, f32)
SUMS(bf16, bf16, f32, f32)
SUMS(f16, f16, f32, f32)
SUMS(f32, f32, bf16, bf16)
SUMS(bf16, bf16, bf16, bf16)
SUMS(f32, f32, f16, f16)
SUMS(f16, f16, f16, f16)
SUMS(bf16, bf16, f16, f16)
SUMS(f16, f16, bf16, bf16)
