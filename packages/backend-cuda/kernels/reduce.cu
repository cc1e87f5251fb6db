// Primitives that combine many values into one, each result in a fixed order.
#include "any.cuh"

template <class W> __device__ __forceinline__ W joined(int kind, W a, W b) {
  return kind == 0 ? a + b : a != a ? a : b != b ? b : b > a ? b : a;
}
template <class W> __device__ W start(int kind);
template <> __device__ f64 start<f64>(int kind) { return kind == 0 ? 0 : -__longlong_as_double(0x7ff0000000000000ll); }
template <> __device__ f32 start<f32>(int kind) { return kind == 0 ? 0 : -__int_as_float(0x7f800000); }
template <> __device__ int start<int>(int kind) { return kind == 0 ? 0 : (int)0x80000000; }

// A block a result: its threads take every blockDim-th of the `many` values that are combined, then join in a tree. The
// result's place is found by `kept` sizes and strides, a value's by `gone`.
#define REDUCE(name, W)                                                                                            \
  extern "C" __global__ void reduce_##name(int kind, const void* x, int dtype, i64 many, SIX(kept), SIX(sk),      \
                                           SIX(gone), SIX(sg), void* y) {                                          \
    GATHERED(kept);                                                                                                \
    GATHERED(sk);                                                                                                  \
    GATHERED(gone);                                                                                                \
    GATHERED(sg);                                                                                                  \
    __shared__ W parts[256];                                                                                       \
    const i64 base = placeOf(blockIdx.x, kept, sk);                                                                \
    W all = start<W>(kind);                                                                                        \
    for (i64 i = threadIdx.x; i < many; i += 256)                                                                  \
      all = joined<W>(kind, all, loadAs<W>(x, dtype, base + placeOf(i, gone, sg)));                                \
    parts[threadIdx.x] = all;                                                                                      \
    for (int half = 128; half > 0; half /= 2) {                                                                    \
      __syncthreads();                                                                                             \
      if (threadIdx.x < half) parts[threadIdx.x] = joined<W>(kind, parts[threadIdx.x], parts[threadIdx.x + half]); \
    }                                                                                                              \
    if (threadIdx.x == 0) storeAs<W>(y, dtype, blockIdx.x, parts[0]);                                              \
  }                                                                                                                \
  /* a thread a result: many results of few values, or of values that lie apart */                                 \
  extern "C" __global__ void reduce_each_##name(int kind, const void* x, int dtype, i64 results, i64 many,        \
                                                SIX(kept), SIX(sk), SIX(gone), SIX(sg), void* y) {                 \
    GATHERED(kept);                                                                                                \
    GATHERED(sk);                                                                                                  \
    GATHERED(gone);                                                                                                \
    GATHERED(sg);                                                                                                  \
    for (i64 at = globalThread(); at < results; at += globalThreads()) {                                           \
      const i64 base = placeOf(at, kept, sk);                                                                      \
      W all = start<W>(kind);                                                                                      \
      for (i64 i = 0; i < many; i++)                                                                               \
        all = joined<W>(kind, all, loadAs<W>(x, dtype, base + placeOf(i, gone, sg)));                              \
      storeAs<W>(y, dtype, at, all);                                                                               \
    }                                                                                                              \
  }                                                                                                                \
  /* index of the first largest of a row; one block a row */                                                       \
  extern "C" __global__ void argmax_##name(const void* x, int dtype, i64 width, int* y) {                         \
    __shared__ W best[256];                                                                                        \
    __shared__ i64 places[256];                                                                                    \
    const i64 base = (i64)blockIdx.x * width;                                                                      \
    W top = start<W>(1);                                                                                           \
    i64 place = width;                                                                                             \
    for (i64 i = threadIdx.x; i < width; i += 256) {                                                               \
      const W v = loadAs<W>(x, dtype, base + i);                                                                   \
      if (v > top || (place == width && v == v)) {                                                                 \
        top = v;                                                                                                   \
        place = i;                                                                                                 \
      }                                                                                                            \
    }                                                                                                              \
    best[threadIdx.x] = top;                                                                                       \
    places[threadIdx.x] = place;                                                                                   \
    for (int half = 128; half > 0; half /= 2) {                                                                    \
      __syncthreads();                                                                                             \
      if (threadIdx.x < half) {                                                                                    \
        const W other = best[threadIdx.x + half];                                                                  \
        const i64 there = places[threadIdx.x + half];                                                              \
        const bool none = places[threadIdx.x] == width;                                                            \
        if (there != width && (none || other > best[threadIdx.x] ||                                                \
                               (other == best[threadIdx.x] && there < places[threadIdx.x]))) {                     \
          best[threadIdx.x] = other;                                                                               \
          places[threadIdx.x] = there;                                                                             \
        }                                                                                                          \
      }                                                                                                            \
    }                                                                                                              \
    if (threadIdx.x == 0) {                                                                                        \
      /* nothing is larger than a NaN: one in front stays, others are passed over */                               \
      const W first = width > 0 ? loadAs<W>(x, dtype, base) : (W)0;                                                \
      y[blockIdx.x] = places[0] == width || first != first ? 0 : (int)places[0];                                   \
    }                                                                                                              \
  }                                                                                                                \
  /* y[row] = sum of rows[i] with index[i] == row, in order of i; a thread a column, blocks in y take rows */      \
  extern "C" __global__ void scatter_add_##name(const void* rows, const int* index, int count, i64 width,         \
                                                int size, int dtype, void* y) {                                    \
    const i64 column = globalThread();                                                                             \
    if (column >= width) return;                                                                                   \
    for (int row = blockIdx.y; row < size; row += gridDim.y) {                                                     \
      W sum = 0;                                                                                                   \
      for (int i = 0; i < count; i++)                                                                              \
        if (index[i] == row) sum += loadAs<W>(rows, dtype, i * width + column);                                    \
      storeAs<W>(y, dtype, row * width + column, sum);                                                             \
    }                                                                                                              \
  }
REDUCE(f64, f64)
REDUCE(f32, f32)
REDUCE(i32, int)
