// Root-mean-square norm over rows of h elements.
//   y = w·x·r with r = 1/√(mean x² + eps);  dx = r·(g·w) − x·r³/h · Σ g·w·x;  dw = Σ over rows of g·x·r
// The forward reads x and writes y; the backward reads x and g and writes dx (and reads it, to add to what is there).
// A row belongs to a warp or to a block, and what it reads first it holds in registers for the second pass.
#include "chunk.cuh"

/** Chunks of a row that a thread holds; a row that is longer is read again. */
#define HELD 4
/** Threads to a block at most, and blocks to a multiprocessor at least: what is held shall stay as narrow as it was read. */
#define BOUNDS(blocks) __launch_bounds__(256, blocks)

__device__ __forceinline__ f32 rowSum(f32 x, int lanes) { return lanes == 32 ? warpSum(x) : blockSum(x); }

template <int N, class T>
__device__ __forceinline__ void normForward(const T* x, const void* weight, int weightType, i64 rows, int h, float eps,
                                            int lanes, T* y, f32* rstd) {
  const i64 row = (i64)blockIdx.x * (blockDim.x / lanes) + threadIdx.x / lanes;
  const int lane = threadIdx.x % lanes, chunks = h / N;
  if (row >= rows) return; // a warp as a whole: where a row takes a block, there is a row for every block
  x += row * h;
  y += row * h;
  Chunk<N, T> held[HELD];
#pragma unroll
  for (int k = 0; k < HELD; k++)
    if (lane + k * lanes < chunks) held[k].load(x + (lane + k * lanes) * N);
  f32 sum = 0;
  const auto square = [&](const Chunk<N, T>& a) {
#pragma unroll
    for (int i = 0; i < N; i++) sum += a[i] * a[i];
  };
#pragma unroll
  for (int k = 0; k < HELD; k++)
    if (lane + k * lanes < chunks) square(held[k]);
#pragma unroll 1
  for (int c = lane + HELD * lanes; c < chunks; c += lanes) {
    Chunk<N, T> a;
    a.load(x + c * N);
    square(a);
  }
#pragma unroll
  for (int k = 0; k < HELD; k++)
    if (lane + k * lanes < chunks) held[k].hold();
  const f32 r = 1.0f / sqrtf(rowSum(sum, lanes) / (f32)h + eps);
  if (lane == 0) rstd[row] = r;
  const auto write = [&](const Chunk<N, T>& a, int c) {
    f32 w[N];
    loadAny<N>(weight, weightType, c * N, w);
    Chunk<N, T> out;
#pragma unroll
    for (int i = 0; i < N; i++) out.set(i, a[i] * r * w[i]);
    out.store(y + c * N);
  };
#pragma unroll
  for (int k = 0; k < HELD; k++)
    if (lane + k * lanes < chunks) write(held[k], lane + k * lanes);
#pragma unroll 1
  for (int c = lane + HELD * lanes; c < chunks; c += lanes) {
    Chunk<N, T> a;
    a.load(x + c * N);
    write(a, c);
  }
}

/** Writes dx, or adds to it if ONTO. dx may be g itself, unless it is added to: a thread writes where it alone has read. */
template <int N, bool ONTO, class T>
__device__ __forceinline__ void normBackward(const T* x, const void* weight, int weightType, const f32* rstd, const T* g,
                                             i64 rows, int h, int lanes, T* dx) {
  const i64 row = (i64)blockIdx.x * (blockDim.x / lanes) + threadIdx.x / lanes;
  const int lane = threadIdx.x % lanes, chunks = h / N;
  if (row >= rows) return;
  x += row * h;
  g += row * h;
  dx += row * h;
  Chunk<N, T> heldX[HELD], heldG[HELD], there[HELD];
#pragma unroll
  for (int k = 0; k < HELD; k++) {
    const int at = (lane + k * lanes) * N;
    if (at < h) {
      heldX[k].load(x + at);
      heldG[k].load(g + at);
      if (ONTO) there[k].load(dx + at);
    }
  }
  f32 dot = 0;
  const auto multiply = [&](const Chunk<N, T>& a, const Chunk<N, T>& b, int c) {
    f32 w[N];
    loadAny<N>(weight, weightType, c * N, w);
#pragma unroll
    for (int i = 0; i < N; i++) dot += a[i] * (b[i] * w[i]);
  };
#pragma unroll
  for (int k = 0; k < HELD; k++)
    if (lane + k * lanes < chunks) multiply(heldX[k], heldG[k], lane + k * lanes);
#pragma unroll 1
  for (int c = lane + HELD * lanes; c < chunks; c += lanes) {
    Chunk<N, T> a, b;
    a.load(x + c * N);
    b.load(g + c * N);
    multiply(a, b, c);
  }
#pragma unroll
  for (int k = 0; k < HELD; k++)
    if (lane + k * lanes < chunks) {
      heldX[k].hold();
      heldG[k].hold();
      if (ONTO) there[k].hold();
    }
  const f32 r = rstd[row], along = rowSum(dot, lanes) * r * r / (f32)h;
  const auto write = [&](const Chunk<N, T>& a, const Chunk<N, T>& b, const Chunk<N, T>& before, int c) {
    f32 w[N];
    loadAny<N>(weight, weightType, c * N, w);
    Chunk<N, T> out;
#pragma unroll
    for (int i = 0; i < N; i++) {
      const f32 d = r * (b[i] * w[i] - a[i] * along);
      out.set(i, ONTO ? d + before[i] : d);
    }
    out.store(dx + c * N);
  };
#pragma unroll
  for (int k = 0; k < HELD; k++)
    if (lane + k * lanes < chunks) write(heldX[k], heldG[k], there[k], lane + k * lanes);
#pragma unroll 1
  for (int c = lane + HELD * lanes; c < chunks; c += lanes) {
    Chunk<N, T> a, b, before;
    a.load(x + c * N);
    b.load(g + c * N);
    if (ONTO) before.load(dx + c * N);
    write(a, b, before, c);
  }
}

/**
 * Sums of g·x·r over a part of the rows: blocks are [columns / 32 N, parts], a warp goes through every eighth row of its
 * part, and the eight warps are added in order. parts[part, h].
 */
template <int N, class T>
__device__ __forceinline__ void normColumns(const T* x, const T* g, const f32* rstd, i64 rows, int h, i64 rowsEach,
                                            f32* parts) {
  __shared__ f32 sums[8][32 * N];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, c = (blockIdx.x * 32 + lane) * N;
  const i64 from = (i64)blockIdx.y * rowsEach, end = from + rowsEach < rows ? from + rowsEach : rows;
  f32 sum[N];
#pragma unroll
  for (int i = 0; i < N; i++) sum[i] = 0;
  if (c < h) {
#pragma unroll 4
    for (i64 row = from + warp; row < end; row += 8) {
      Chunk<N, T> a, b;
      a.load(x + row * h + c);
      b.load(g + row * h + c);
      const f32 r = rstd[row];
#pragma unroll
      for (int i = 0; i < N; i++) sum[i] += b[i] * (a[i] * r);
    }
  }
#pragma unroll
  for (int i = 0; i < N; i++) sums[warp][lane * N + i] = sum[i];
  __syncthreads();
  const int column = blockIdx.x * 32 * N + threadIdx.x;
  if (threadIdx.x < 32 * N && column < h) {
    f32 total = 0;
#pragma unroll
    for (int w = 0; w < 8; w++) total += sums[w][threadIdx.x];
    parts[(i64)blockIdx.y * h + column] = total;
  }
}

/** dw = Σ parts: a block has 32 columns, each of its eight warps every eighth part; all in a fixed order. */
template <class T> __device__ __forceinline__ void normWeight(const f32* parts, int count, int h, T* dw) {
  __shared__ f32 sums[8][32];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, column = blockIdx.x * 32 + lane;
  f32 sum = 0;
  if (column < h) {
#pragma unroll 8
    for (int k = warp; k < count; k += 8) sum += parts[(i64)k * h + column];
  }
  sums[warp][lane] = sum;
  __syncthreads();
  if (warp > 0 || column >= h) return;
  f32 total = 0;
#pragma unroll
  for (int w = 0; w < 8; w++) total += sums[w][lane];
  dw[column] = narrow<T>(total);
}

// weightType as loadAny takes it
#define FORWARD(name, T)                                                                                                \
  extern "C" __global__ void BOUNDS(4) rms_norm_forward_##name(                                                         \
      const T* __restrict__ x, const void* __restrict__ weight, int weightType, i64 rows, int h, float eps, int lanes,  \
      int aligned, T* __restrict__ y, f32* __restrict__ rstd) {                                                         \
    if (aligned) normForward<16 / sizeof(T), T>(x, weight, weightType, rows, h, eps, lanes, y, rstd);                   \
    else normForward<1, T>(x, weight, weightType, rows, h, eps, lanes, y, rstd);                                        \
  }
#define BACKWARD(name, T, ONTO, BLOCKS)                                                                                 \
  extern "C" __global__ void BOUNDS(BLOCKS) rms_norm_backward_##name(                                                   \
      const T* __restrict__ x, const void* __restrict__ weight, int weightType, const f32* __restrict__ rstd,           \
      const T* g, i64 rows, int h, int lanes, int aligned, T* dx) {                                                     \
    if (aligned) normBackward<16 / sizeof(T), ONTO, T>(x, weight, weightType, rstd, g, rows, h, lanes, dx);             \
    else normBackward<1, ONTO, T>(x, weight, weightType, rstd, g, rows, h, lanes, dx);                                  \
  }
#define COLUMNS(name, T, N)                                                                                             \
  extern "C" __global__ void rms_norm_columns_##name(                                                                   \
      const T* __restrict__ x, const T* __restrict__ g, const f32* __restrict__ rstd, i64 rows, int h, i64 rowsEach,    \
      f32* __restrict__ parts) {                                                                                        \
    normColumns<N, T>(x, g, rstd, rows, h, rowsEach, parts);                                                            \
  }
#define WEIGHT(name, T)                                                                                                 \
  extern "C" __global__ void rms_norm_weight_##name(const f32* __restrict__ parts, int count, int h,                    \
                                                    T* __restrict__ dw) {                                               \
    normWeight<T>(parts, count, h, dw);                                                                                 \
  }
#define ENTRY(name, T)                                                                                                  \
  FORWARD(name, T)                                                                                                      \
  BACKWARD(name, T, false, 3)                                                                                           \
  BACKWARD(onto_##name, T, true, 2)                                                                                     \
  COLUMNS(name, T, 16 / sizeof(T))                                                                                      \
  COLUMNS(single_##name, T, 1)                                                                                          \
  WEIGHT(name, T)
FLOATS(ENTRY)
