// Cross-entropy of rows of scores (logits), which exist for one chunk of rows at a time. With p = softmax(z):
// loss = log Σ exp z − z[target];  dz = p − onehot(target).
#include "chunk.cuh"

#define infinity __int_as_float(0x7f800000)

// One block a row: the first pass reads the scores once, keeping a running maximum and sum; the second reads them again and
// writes the gradient. A row without a target (negative) has loss 0 and no gradient; a target outside has loss NaN.
// Bytes: 4·2 read, sizeof(T) written per score. `dz` may be the scores themselves where T is f32.
template <class T> __device__ void crossEntropy(const f32* z, const int* targets, int vocab, int aligned, f32* losses, T* dz) {
  const i64 row = blockIdx.x;
  const int target = targets[row];
  const f32* scores = z + row * vocab;
  T* gradient = dz ? dz + row * vocab : nullptr;
  const int wide = aligned ? vocab / 4 : 0;
  if (target < 0) {
    if (threadIdx.x == 0) losses[row] = 0;
    if (gradient)
      for (int i = threadIdx.x; i < vocab; i += blockDim.x) gradient[i] = narrow<T>(0.0f);
    return;
  }
  f32 top = -infinity, sum = 0;
  auto see = [&](f32 x) {
    if (x > top) {
      sum = sum * expf(top - x) + 1;
      top = x;
    } else if (x == x) {
      if (top != -infinity) sum += expf(x - top);
    } else {
      sum = x;
      top = infinity;
    }
  };
  for (int i = threadIdx.x; i < wide; i += blockDim.x) {
    Chunk<4, f32> c;
    c.load(scores + 4 * i);
#pragma unroll
    for (int j = 0; j < 4; j++) see(c[j]);
  }
  for (int i = 4 * wide + threadIdx.x; i < vocab; i += blockDim.x) see(scores[i]);
  const f32 most = blockMax(top);
  const f32 total = blockSum(sum == 0 ? 0.0f : sum * expf(top - most));
  const bool inside = target < vocab;
  if (threadIdx.x == 0) losses[row] = inside ? (most - scores[target]) + logf(total) : __int_as_float(0x7fc00000);
  if (!gradient) return;
  const f32 scale = 1.0f / total;
  auto slope = [&](f32 x, int i) { return expf(x - most) * scale - (i == target ? 1.0f : 0.0f); };
  // every thread has read the score of the target before the first of them writes over it
  __syncthreads();
  for (int i = threadIdx.x; i < wide; i += blockDim.x) {
    Chunk<4, f32> c;
    c.load(scores + 4 * i);
    Chunk<4, T> g;
#pragma unroll
    for (int j = 0; j < 4; j++) g.set(j, slope(c[j], 4 * i + j));
    g.store(gradient + 4 * i);
  }
  for (int i = 4 * wide + threadIdx.x; i < vocab; i += blockDim.x) gradient[i] = narrow<T>(slope(scores[i], i));
}
#define CROSS(name, T)                                                                                                \
  extern "C" __global__ void cross_entropy_##name(const f32* z, const int* __restrict__ targets, int vocab, int aligned, \
                                                  f32* __restrict__ losses, T* dz) {                                  \
    crossEntropy<T>(z, targets, vocab, aligned, losses, dz);                                                          \
  }
FLOATS(CROSS)

// Sum of row losses and count of targets, by one block in a fixed order, in f64.
extern "C" __global__ void loss_sum(const f32* __restrict__ losses, const int* __restrict__ targets, int rows, f32* loss,
                                    f32* count) {
  f64 sum = 0, some = 0;
  for (int i = threadIdx.x; i < rows; i += blockDim.x)
    if (targets[i] >= 0) {
      sum += losses[i];
      some += 1;
    }
  sum = blockSum(sum);
  some = blockSum(some);
  if (threadIdx.x == 0) {
    *loss = (f32)sum;
    *count = (f32)some;
  }
}

// The numbers of the rows that have a target, in order, then -1 up to `room`; and their targets, then -1. One block.
extern "C" __global__ void loss_rows(const int* __restrict__ targets, int rows, int room, int* __restrict__ found,
                                     int* __restrict__ theirs) {
  __shared__ int counts[32];
  int before = 0;
  for (int base = 0; base < rows; base += blockDim.x) {
    const int row = base + threadIdx.x;
    const bool has = row < rows && targets[row] >= 0;
    const u32 votes = __ballot_sync(0xffffffffu, has);
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    if (lane == 0) counts[warp] = __popc(votes);
    __syncthreads();
    int at = before, all = 0;
    for (int w = 0; w < (int)(blockDim.x >> 5); w++) {
      if (w < warp) at += counts[w];
      all += counts[w];
    }
    at += __popc(votes & ((1u << lane) - 1));
    if (has && at < room) {
      found[at] = row;
      theirs[at] = targets[row];
    }
    before += all;
    __syncthreads();
  }
  for (int i = before + threadIdx.x; i < room; i += blockDim.x) {
    found[i] = -1;
    theirs[i] = -1;
  }
}

// y[i] = x[index[i]], zeros for a negative index; and back, over a zeroed y. One block a row.
template <class T> __device__ void takeRows(const T* x, const int* index, int h, T* y) {
  const int from = index[blockIdx.x];
  for (int i = threadIdx.x; i < h; i += blockDim.x)
    y[(i64)blockIdx.x * h + i] = from < 0 ? narrow<T>(0.0f) : x[(i64)from * h + i];
}
template <class T> __device__ void putRows(const T* x, const int* index, int h, T* y) {
  const int to = index[blockIdx.x];
  if (to < 0) return;
  for (int i = threadIdx.x; i < h; i += blockDim.x) y[(i64)to * h + i] = x[(i64)blockIdx.x * h + i];
}
#define ROWS(name, T)                                                                                               \
  extern "C" __global__ void loss_take_##name(const T* __restrict__ x, const int* __restrict__ index, int h,       \
                                              T* __restrict__ y) {                                                  \
    takeRows<T>(x, index, h, y);                                                                                    \
  }                                                                                                                 \
  extern "C" __global__ void loss_put_##name(const T* __restrict__ x, const int* __restrict__ index, int h,        \
                                             T* __restrict__ y) {                                                   \
    putRows<T>(x, index, h, y);                                                                                     \
  }
FLOATS(ROWS)

// y = x · by, where `by` is one number on the card. y may be x.
#define SCALED(from, A, to, B)                                                                                       \
  extern "C" __global__ void loss_scale_##from##_##to(const A* x, const f32* __restrict__ by, i64 n, int aligned, B* y) { \
    const f32 factor = *by;                                                                                          \
    constexpr int N = 16 / (sizeof(A) > sizeof(B) ? sizeof(A) : sizeof(B));                                          \
    eachChunk<N>(n, aligned, [=](auto width, i64 i) {                                                                \
      constexpr int W = decltype(width)::value;                                                                      \
      Chunk<W, A> a;                                                                                                 \
      a.load(x + i);                                                                                                 \
      Chunk<W, B> b;                                                                                                 \
      _Pragma("unroll") for (int j = 0; j < W; j++) b.set(j, factor * a[j]);                                         \
      b.store(y + i);                                                                                                \
    });                                                                                                              \
  }
SCALED(f32, f32, f32, f32)
SCALED(bf16, bf16, bf16, bf16)
SCALED(f16, f16, f16, f16)
SCALED(f32, f32, bf16, bf16)
SCALED(f32, f32, f16, f16)
