// Attention for bf16 and f16 on tensor cores (mma m16n8k16, f32 sums): where cuDNN is missing, where ids come back within
// a row, and for prompts over a cache. The method of FlashAttention-2 (Dao 2023), a block of four warps to 64 rows, 16 to
// a warp; what streams past comes in two stages by asynchronous copies. The backward makes dq and dk, dv in two kernels,
// each in a fixed order: the same bits in every run. Heads of up to D = 64 or 128, a multiple of 8, zeros behind them.
#include "common.cuh"

#define BLOCK 128
#define ROWS 64
/** the score of what is not seen: minus infinity */
#define NOTHING __int_as_float(0xff800000)
#define LOG2E 1.4426950408889634f
#define LN2 0.6931471805599453f

/** c += a b for a tile of 16 x 8, over 16 */
template <class T> __device__ __forceinline__ void mma(f32 (&c)[4], const u32 (&a)[4], u32 b0, u32 b1);
template <> __device__ __forceinline__ void mma<bf16>(f32 (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
template <> __device__ __forceinline__ void mma<f16>(f32 (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

template <class T> __device__ __forceinline__ u32 pair(f32 low, f32 high);
template <> __device__ __forceinline__ u32 pair<bf16>(f32 low, f32 high) {
  const __nv_bfloat162 x = __floats2bfloat162_rn(low, high);
  return *(const u32*)&x;
}
template <> __device__ __forceinline__ u32 pair<f16>(f32 low, f32 high) {
  const __half2 x = __floats2half2_rn(low, high);
  return *(const u32*)&x;
}

__device__ __forceinline__ u32 shared(const void* p) { return (u32)__cvta_generic_to_shared(p); }
/** Four 8 x 8 matrices of 16-bit elements; each lane names a row. */
__device__ __forceinline__ void loadMatrices(u32 (&x)[4], u32 at) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3]) : "r"(at));
}
__device__ __forceinline__ void loadMatricesTurned(u32 (&x)[4], u32 at) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3]) : "r"(at));
}
/** Starts a copy into shared memory; zeros where not inside. */
template <int BYTES> __device__ __forceinline__ void copyAsync(void* to, const void* from, bool inside) {
  const int bytes = inside ? BYTES : 0;
  if (BYTES == 16) asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared(to)), "l"(from), "r"(bytes));
  else asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared(to)), "l"(from), "r"(bytes));
}
__device__ __forceinline__ void copiesStarted() { asm volatile("cp.async.commit_group;"); }
__device__ __forceinline__ void copiesArrived() { asm volatile("cp.async.wait_group 0;"); }

/** A row of a tile in shared memory: 16 bytes more, so that eight rows lie in different banks. */
template <int D> struct Line { static const int width = D + 8; };

template <class T, int D, int COUNT>
__device__ __forceinline__ void copyTile(T* to, const T* from, i64 stride, int count, int d) {
  for (int i = threadIdx.x; i < COUNT * (D / 8); i += BLOCK) {
    const int row = i / (D / 8), place = i % (D / 8) * 8;
    const bool inside = row < count && place < d;
    copyAsync<16>(to + row * Line<D>::width + place, inside ? from + row * stride + place : from, inside);
  }
}

/** The 16 rows of a warp, as the left operand. */
template <class T, int D> __device__ __forceinline__ void loadRows(u32 (&x)[D / 16][4], const T* rows) {
  const int lane = threadIdx.x & 31;
  const u32 at = shared(rows + (lane & 15) * Line<D>::width + (lane >> 4) * 8);
#pragma unroll
  for (int k = 0; k < D / 16; k++) loadMatrices(x[k], at + k * 32);
}

/** tile[n][..] = rows of the warp . row of b, for 8 N rows of b */
template <class T, int D, int N>
__device__ __forceinline__ void dotRows(f32 (&tile)[N][4], const u32 (&rows)[D / 16][4], const T* b) {
  const int lane = threadIdx.x & 31;
  const u32 at = shared(b + ((lane & 7) + (lane >> 4) * 8) * Line<D>::width + (lane >> 3 & 1) * 8);
#pragma unroll
  for (int n = 0; n < N; n++)
#pragma unroll
    for (int i = 0; i < 4; i++) tile[n][i] = 0.0f;
#pragma unroll
  for (int k = 0; k < D / 16; k++)
#pragma unroll
    for (int n = 0; n < N / 2; n++) {
      u32 y[4];
      loadMatrices(y, at + (n * 16 * Line<D>::width + k * 16) * 2);
      mma<T>(tile[2 * n], rows[k], y[0], y[1]);
      mma<T>(tile[2 * n + 1], rows[k], y[2], y[3]);
    }
}
template <class T, int D, int N> __device__ __forceinline__ void dotRows(f32 (&tile)[N][4], const T* a, const T* b) {
  const int lane = threadIdx.x & 31;
  const u32 from = shared(a + (lane & 15) * Line<D>::width + (lane >> 4) * 8);
  const u32 at = shared(b + ((lane & 7) + (lane >> 4) * 8) * Line<D>::width + (lane >> 3 & 1) * 8);
#pragma unroll
  for (int n = 0; n < N; n++)
#pragma unroll
    for (int i = 0; i < 4; i++) tile[n][i] = 0.0f;
#pragma unroll
  for (int k = 0; k < D / 16; k++) {
    u32 x[4];
    loadMatrices(x, from + k * 32);
#pragma unroll
    for (int n = 0; n < N / 2; n++) {
      u32 y[4];
      loadMatrices(y, at + (n * 16 * Line<D>::width + k * 16) * 2);
      mma<T>(tile[2 * n], x, y[0], y[1]);
      mma<T>(tile[2 * n + 1], x, y[2], y[3]);
    }
  }
}

/** sums += weights . b: a tile of 16 x 8 N times 8 N rows of b */
template <class T, int D, int N>
__device__ __forceinline__ void addWeighted(f32 (&sums)[D / 8][4], const f32 (&weights)[N][4], const T* b) {
  const int lane = threadIdx.x & 31;
  const u32 at = shared(b + (lane & 15) * Line<D>::width + (lane >> 4) * 8);
#pragma unroll
  for (int t = 0; t < N / 2; t++) {
    const u32 x[4] = {pair<T>(weights[2 * t][0], weights[2 * t][1]), pair<T>(weights[2 * t][2], weights[2 * t][3]),
                      pair<T>(weights[2 * t + 1][0], weights[2 * t + 1][1]), pair<T>(weights[2 * t + 1][2], weights[2 * t + 1][3])};
#pragma unroll
    for (int n = 0; n < D / 16; n++) {
      u32 y[4];
      loadMatricesTurned(y, at + (t * 16 * Line<D>::width + n * 16) * 2);
      mma<T>(sums[2 * n], x, y[0], y[1]);
      mma<T>(sums[2 * n + 1], x, y[2], y[3]);
    }
  }
}

template <int N> __device__ __forceinline__ void clear(f32 (&sums)[N][4]) {
#pragma unroll
  for (int n = 0; n < N; n++)
#pragma unroll
    for (int i = 0; i < 4; i++) sums[n][i] = 0.0f;
}

/** Writes the warp's rows, the upper and lower eight each with their factor. */
template <class T, int D>
__device__ __forceinline__ void storeRows(T* at, i64 stride, int count, int d, const f32 (&sums)[D / 8][4], f32 upper, f32 lower) {
  const int row = (threadIdx.x >> 5) * 16 + (threadIdx.x >> 2 & 7), column = (threadIdx.x & 3) * 2;
#pragma unroll
  for (int n = 0; n < D / 8; n++) {
    if (n * 8 >= d) break;
    if (row < count) *(u32*)(at + row * stride + n * 8 + column) = pair<T>(sums[n][0] * upper, sums[n][1] * upper);
    if (row + 8 < count) *(u32*)(at + (row + 8) * stride + n * 8 + column) = pair<T>(sums[n][2] * lower, sums[n][3] * lower);
  }
}

/** The least and largest id of 64 tokens: tiles whose ranges do not meet are skipped, those of one id need no comparing. */
struct Range { int low, high; };
__device__ __forceinline__ bool meet(Range a, Range b) { return a.low <= b.high && b.low <= a.high; }
__device__ __forceinline__ bool same(Range a, Range b) { return a.low == b.high && b.low == a.high; }
extern "C" __global__ void attention_ranges(const int* __restrict__ segments, int s, int tiles, int* __restrict__ ranges) {
  const int first = blockIdx.x * ROWS, at = first + threadIdx.x, other = at + 32;
  const int* row = segments + (i64)blockIdx.y * s;
  const int a = row[at < s ? at : first], b = row[other < s ? other : first];
  const int low = __reduce_min_sync(0xffffffffu, min(a, b)), high = __reduce_max_sync(0xffffffffu, max(a, b));
  if (threadIdx.x == 0) {
    int* to = ranges + 2 * ((i64)blockIdx.y * tiles + blockIdx.x);
    to[0] = low;
    to[1] = high;
  }
}

/** y = softmax(scale q k') v and lse; query i is token `had + i`; without ranges all earlier keys are seen. */
template <class T, int D>
__device__ __forceinline__ void forwardCores(const T* q, const T* k, const T* v, const int* segments, const Range* ranges, int had,
                                             int s, int t, int h, int hk, int d, f32 scale, T* y, f32* lse) {
  extern __shared__ __align__(16) unsigned char memory[];
  constexpr int SIZE = ROWS * Line<D>::width;
  T* stages = (T*)memory;  // k, v, k, v
  const int block = gridDim.x - 1 - blockIdx.x, query0 = block * ROWS, head = blockIdx.y, batch = blockIdx.z;
  const int queries = min(ROWS, s - query0), kvHead = head / (h / hk), warp = threadIdx.x >> 5;
  const int row = query0 + warp * 16 + (threadIdx.x >> 2 & 7), column = (threadIdx.x & 3) * 2;
  const i64 qStride = (i64)h * d, kStride = (i64)hk * d;
  const i64 qBegin = ((i64)batch * s + query0) * qStride + (i64)head * d, kBegin = (i64)batch * t * kStride + (i64)kvHead * d;
  const int tiles = (min(t, had + query0 + queries) + ROWS - 1) / ROWS, all = (s + ROWS - 1) / ROWS;
  if (ranges) {
    ranges += (i64)batch * all;
    segments += (i64)batch * s;
  }
  const Range mine = ranges ? ranges[block] : Range{0, 0};
  const int ids[2] = {ranges && row < s ? segments[row] : 0, ranges && row + 8 < s ? segments[row + 8] : 0};
  const auto next = [&](int tile) {
    while (ranges && tile < tiles && !meet(mine, ranges[tile])) tile++;
    return tile;
  };
  const auto fetch = [&](int tile, int stage) {
    const i64 from = kBegin + (i64)tile * ROWS * kStride;
    copyTile<T, D, ROWS>(stages + stage * 2 * SIZE, k + from, kStride, t - tile * ROWS, d);
    copyTile<T, D, ROWS>(stages + (stage * 2 + 1) * SIZE, v + from, kStride, t - tile * ROWS, d);
    copiesStarted();
  };

  copyTile<T, D, ROWS>(stages + 2 * SIZE, q + qBegin, qStride, queries, d);
  copiesStarted();
  copiesArrived();
  __syncthreads();
  u32 asked[D / 16][4];
  loadRows<T, D>(asked, stages + 2 * SIZE + warp * 16 * Line<D>::width);

  f32 sums[D / 8][4], tile[8][4], top[2] = {NOTHING, NOTHING}, total[2] = {0.0f, 0.0f};
  clear(sums);
  const f32 scale2 = scale * LOG2E;
  int at = next(0), stage = 0;
  fetch(at, 0);
  while (at < tiles) {
    const int key0 = at * ROWS, after = next(at + 1);
    copiesArrived();
    __syncthreads();
    if (after < tiles) fetch(after, stage ^ 1);
    dotRows<T, D, 8>(tile, asked, stages + stage * 2 * SIZE);
    const bool oneId = !ranges || same(mine, ranges[at]);
    if (!oneId || key0 + ROWS > had + query0 || key0 + ROWS > t) {
#pragma unroll
      for (int n = 0; n < 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
          const int key = key0 + n * 8 + column + (i & 1);
          const bool seen = key < t && key <= had + row + (i >> 1) * 8 && (oneId || segments[key] == ids[i >> 1]);
          if (!seen) tile[n][i] = NOTHING;
        }
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
      f32 best = top[half];
#pragma unroll
      for (int n = 0; n < 8; n++) best = fmaxf(best, fmaxf(tile[n][2 * half], tile[n][2 * half + 1]));
      best = fmaxf(best, __shfl_xor_sync(0xffffffffu, best, 1));
      best = fmaxf(best, __shfl_xor_sync(0xffffffffu, best, 2));
      // a row that sees nothing yet: exp2(-inf - 0) = 0
      const f32 base = best == NOTHING ? 0.0f : best * scale2;
      const f32 fade = exp2f(top[half] * scale2 - base);
      top[half] = best;
      f32 sum = 0.0f;
#pragma unroll
      for (int n = 0; n < 8; n++)
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; i++) sum += tile[n][i] = exp2f(tile[n][i] * scale2 - base);
      total[half] = total[half] * fade + sum;
#pragma unroll
      for (int n = 0; n < D / 8; n++) {
        sums[n][2 * half] *= fade;
        sums[n][2 * half + 1] *= fade;
      }
    }
    addWeighted<T, D, 8>(sums, tile, stages + (stage * 2 + 1) * SIZE);
    at = after;
    stage ^= 1;
  }
#pragma unroll
  for (int half = 0; half < 2; half++) {
    total[half] += __shfl_xor_sync(0xffffffffu, total[half], 1);
    total[half] += __shfl_xor_sync(0xffffffffu, total[half], 2);
    if (lse && column == 0 && row + 8 * half < s)
      lse[((i64)batch * h + head) * s + row + 8 * half] = top[half] * scale + log2f(total[half]) * LN2;
  }
  storeRows<T, D>(y + qBegin, qStride, queries, d, sums, 1.0f / total[0], 1.0f / total[1]);
}
#define FORWARD(name, T, D)                                                                                            \
  extern "C" __global__ void __launch_bounds__(BLOCK) attention_cores_forward_##name(                                  \
      const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v, const int* __restrict__ segments,     \
      const int* __restrict__ ranges, int s, int h, int hk, int d, float scale, T* __restrict__ y,                     \
      float* __restrict__ lse) {                                                                                       \
    forwardCores<T, D>(q, k, v, segments, (const Range*)ranges, 0, s, s, h, hk, d, scale, y, lse);                     \
  }                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(BLOCK) cached_attention_cores_##name(                                   \
      const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v, const int* __restrict__ start, int s, \
      int t, int h, int hk, int d, float scale, T* __restrict__ y) {                                                   \
    forwardCores<T, D>(q, k, v, nullptr, nullptr, start[blockIdx.z], s, t, h, hk, d, scale, y, nullptr);               \
  }

// what streams past in the backward comes 32 rows at a time: the sums leave no registers for more
#define PASSING 32

/** dq = ds k with ds = p (g v' - delta) scale, p = exp(scale q k' - lse): a block to 64 queries of one head. */
template <class T, int D>
__device__ __forceinline__ void queriesCores(const T* q, const T* k, const T* v, const int* segments, const Range* ranges,
                                             const T* g, const f32* lse, const f32* delta, int s, int h, int hk, int d, f32 scale, T* dq) {
  extern __shared__ __align__(16) unsigned char memory[];
  constexpr int WHOLE = ROWS * Line<D>::width, PART = PASSING * Line<D>::width;
  T *asked = (T*)memory, *grads = asked + WHOLE, *stages = grads + WHOLE;
  const int block = gridDim.x - 1 - blockIdx.x, query0 = block * ROWS, head = blockIdx.y, batch = blockIdx.z;
  const int queries = min(ROWS, s - query0), kvHead = head / (h / hk), warp = threadIdx.x >> 5;
  const int row = query0 + warp * 16 + (threadIdx.x >> 2 & 7), column = (threadIdx.x & 3) * 2;
  const i64 qStride = (i64)h * d, kStride = (i64)hk * d;
  const i64 qBegin = ((i64)batch * s + query0) * qStride + (i64)head * d, kBegin = (i64)batch * s * kStride + (i64)kvHead * d;
  const int tiles = (query0 + queries + PASSING - 1) / PASSING;
  ranges += (i64)batch * ((s + ROWS - 1) / ROWS);
  segments += (i64)batch * s;
  const Range mine = ranges[block];
  int ids[2];
  f32 logs[2], deltas[2];
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const bool inside = row + 8 * half < s;
    const i64 place = ((i64)batch * h + head) * s + row + 8 * half;
    ids[half] = inside ? segments[row + 8 * half] : 0;
    logs[half] = inside ? lse[place] * LOG2E : 0.0f;
    deltas[half] = inside ? delta[place] : 0.0f;
  }
  const auto next = [&](int tile) {
    while (tile < tiles && !meet(mine, ranges[tile / 2])) tile++;
    return tile;
  };
  const auto fetch = [&](int tile, int stage) {
    const i64 from = kBegin + (i64)tile * PASSING * kStride;
    copyTile<T, D, PASSING>(stages + stage * 2 * PART, k + from, kStride, s - tile * PASSING, d);
    copyTile<T, D, PASSING>(stages + (stage * 2 + 1) * PART, v + from, kStride, s - tile * PASSING, d);
    copiesStarted();
  };
  copyTile<T, D, ROWS>(asked, q + qBegin, qStride, queries, d);
  copyTile<T, D, ROWS>(grads, g + qBegin, qStride, queries, d);
  f32 sums[D / 8][4], p[4][4], ds[4][4];
  clear(sums);
  const f32 scale2 = scale * LOG2E;
  int at = next(0), stage = 0;
  fetch(at, 0);
  while (at < tiles) {
    const int key0 = at * PASSING, after = next(at + 1);
    copiesArrived();
    __syncthreads();
    if (after < tiles) fetch(after, stage ^ 1);
    const T* keys = stages + stage * 2 * PART;
    dotRows<T, D, 4>(p, asked + warp * 16 * Line<D>::width, keys);
    dotRows<T, D, 4>(ds, grads + warp * 16 * Line<D>::width, keys + PART);
    const bool oneId = same(mine, ranges[at / 2]), whole = oneId && key0 + PASSING <= query0;
#pragma unroll
    for (int n = 0; n < 4; n++)
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int key = key0 + n * 8 + column + (i & 1), query = row + (i >> 1) * 8;
        const bool seen = whole || (key < s && key <= query && (oneId || segments[key] == ids[i >> 1]));
        ds[n][i] = seen ? exp2f(p[n][i] * scale2 - logs[i >> 1]) * (ds[n][i] - deltas[i >> 1]) * scale : 0.0f;
      }
    addWeighted<T, D, 4>(sums, ds, keys);
    at = after;
    stage ^= 1;
  }
  storeRows<T, D>(dq + qBegin, qStride, queries, d, sums, 1.0f, 1.0f);
}
#define QUERIES(name, T, D)                                                                                            \
  extern "C" __global__ void __launch_bounds__(BLOCK) attention_cores_queries_##name(                                  \
      const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v, const int* __restrict__ segments,     \
      const int* __restrict__ ranges, const T* __restrict__ g, const float* __restrict__ lse,                          \
      const float* __restrict__ delta, int s, int h, int hk, int d, float scale, T* __restrict__ dq) {                 \
    queriesCores<T, D>(q, k, v, segments, (const Range*)ranges, g, lse, delta, s, h, hk, d, scale, dq);                \
  }

/** dv = p' g, dk = ds' q: a block to 64 keys, over the queries of all heads that share them. Rows of its tiles are keys. */
template <class T, int D>
__device__ __forceinline__ void keysCores(const T* q, const T* k, const T* v, const int* segments, const Range* ranges, const T* g,
                                          const f32* lse, const f32* delta, int s, int h, int hk, int d, f32 scale, T* dk, T* dv) {
  extern __shared__ __align__(16) unsigned char memory[];
  constexpr int WHOLE = ROWS * Line<D>::width, PART = PASSING * Line<D>::width;
  T *keys = (T*)memory, *values = keys + WHOLE, *stages = values + WHOLE;
  f32* numbers = (f32*)(stages + 4 * PART);  // lse, delta, lse, delta
  const int block = blockIdx.x, key0 = block * ROWS, kvHead = blockIdx.y, batch = blockIdx.z, group = h / hk;
  const int count = min(ROWS, s - key0), warp = threadIdx.x >> 5;
  const int row = key0 + warp * 16 + (threadIdx.x >> 2 & 7), column = (threadIdx.x & 3) * 2;
  const i64 qStride = (i64)h * d, kStride = (i64)hk * d;
  const i64 qBegin = (i64)batch * s * qStride, kBegin = ((i64)batch * s + key0) * kStride + (i64)kvHead * d;
  const int tiles = (s + PASSING - 1) / PASSING;
  ranges += (i64)batch * ((s + ROWS - 1) / ROWS);
  segments += (i64)batch * s;
  const Range mine = ranges[block];
  const int ids[2] = {row < s ? segments[row] : 0, row + 8 < s ? segments[row + 8] : 0};
  // a step is a tile of queries and one head of the group
  const auto next = [&](int step) {
    while (step < tiles * group && !meet(mine, ranges[step / group / 2])) step = (step / group + 1) * group;
    return step;
  };
  const auto fetch = [&](int step, int stage) {
    const int query0 = step / group * PASSING, head = kvHead * group + step % group;
    const i64 from = qBegin + (i64)query0 * qStride + (i64)head * d;
    copyTile<T, D, PASSING>(stages + stage * 2 * PART, q + from, qStride, s - query0, d);
    copyTile<T, D, PASSING>(stages + (stage * 2 + 1) * PART, g + from, qStride, s - query0, d);
    if (threadIdx.x < 2 * PASSING) {
      const int query = query0 + threadIdx.x % PASSING;
      const i64 place = ((i64)batch * h + head) * s;
      const f32* of = (threadIdx.x < PASSING ? lse : delta) + place;
      copyAsync<4>(numbers + stage * 2 * PASSING + threadIdx.x, query < s ? of + query : of, query < s);
    }
    copiesStarted();
  };
  copyTile<T, D, ROWS>(keys, k + kBegin, kStride, count, d);
  copyTile<T, D, ROWS>(values, v + kBegin, kStride, count, d);
  f32 dkSums[D / 8][4], dvSums[D / 8][4], p[4][4], ds[4][4];
  clear(dkSums);
  clear(dvSums);
  const f32 scale2 = scale * LOG2E;
  int at = next(key0 / PASSING * group), stage = 0;
  fetch(at, 0);
  while (at < tiles * group) {
    const int query0 = at / group * PASSING, after = next(at + 1);
    copiesArrived();
    __syncthreads();
    if (after < tiles * group) fetch(after, stage ^ 1);
    const T *asked = stages + stage * 2 * PART, *grads = asked + PART;
    const f32 *logs = numbers + stage * 2 * PASSING, *deltas = logs + PASSING;
    dotRows<T, D, 4>(p, keys + warp * 16 * Line<D>::width, asked);
    const bool oneId = same(mine, ranges[query0 / ROWS]), whole = oneId && query0 >= key0 + ROWS;
#pragma unroll
    for (int n = 0; n < 4; n++)
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int place = n * 8 + column + (i & 1), query = query0 + place, key = row + (i >> 1) * 8;
        const bool seen = whole || (query < s && key <= query && (oneId || segments[query] == ids[i >> 1]));
        p[n][i] = seen ? exp2f(p[n][i] * scale2 - logs[place] * LOG2E) : 0.0f;
      }
    addWeighted<T, D, 4>(dvSums, p, grads);
    dotRows<T, D, 4>(ds, values + warp * 16 * Line<D>::width, grads);
#pragma unroll
    for (int n = 0; n < 4; n++)
#pragma unroll
      for (int i = 0; i < 4; i++) ds[n][i] = p[n][i] * (ds[n][i] - deltas[n * 8 + column + (i & 1)]) * scale;
    addWeighted<T, D, 4>(dkSums, ds, asked);
    at = after;
    stage ^= 1;
  }
  storeRows<T, D>(dk + kBegin, kStride, count, d, dkSums, 1.0f, 1.0f);
  storeRows<T, D>(dv + kBegin, kStride, count, d, dvSums, 1.0f, 1.0f);
}
#define KEYS(name, T, D)                                                                                               \
  extern "C" __global__ void __launch_bounds__(BLOCK) attention_cores_keys_##name(                                     \
      const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v, const int* __restrict__ segments,     \
      const int* __restrict__ ranges, const T* __restrict__ g, const float* __restrict__ lse,                          \
      const float* __restrict__ delta, int s, int h, int hk, int d, float scale, T* __restrict__ dk,                   \
      T* __restrict__ dv) {                                                                                            \
    keysCores<T, D>(q, k, v, segments, (const Range*)ranges, g, lse, delta, s, h, hk, d, scale, dk, dv);               \
  }

#define CORES(name, T, D) FORWARD(name##_##D, T, D) QUERIES(name##_##D, T, D) KEYS(name##_##D, T, D)
CORES(bf16, bf16, 64) CORES(bf16, bf16, 128) CORES(f16, f16, 64) CORES(f16, f16, 128)
