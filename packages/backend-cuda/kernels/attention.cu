// Causal grouped-query attention within segments, forward and backward, in plain f32 arithmetic: what every card can do,
// for any head size up to 256, any length and any ids. q, y and their gradients are [b, s, h, d], k and v [b, s, hk, d],
// lse [b, h, s]. A tile of keys that no query of a tile sees is skipped.
#include "attention-tiles.cuh"

/** Reads q and y once, k and v once for every tile of queries; 4 b h s s d / 2 operations. */
#define FORWARD(name, T, C)                                                                                            \
  extern "C" __global__ void __launch_bounds__(THREADS)                                                                \
      attention_forward_##name(const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v,              \
                               const int* __restrict__ segments, int s, int h, int hk, int d, float scale,             \
                               T* __restrict__ y, float* __restrict__ lse) {                                           \
    attendTile<T, C>(q, k, v, segments, 0, s, s, h, hk, d, scale, y, lse);                                             \
  }

/** delta[b, h, s] = sum over d of g y: a warp to a row. */
template <class T>
__device__ __forceinline__ void attentionDelta(const T* g, const T* y, i64 rows, int s, int h, int d, f32* delta) {
  const i64 row = globalThread() >> 5;
  if (row >= rows) return;
  f32 sum = 0.0f;
  for (int i = threadIdx.x & 31; i < d; i += 32) sum = fmaf(widen(g[row * d + i]), widen(y[row * d + i]), sum);
  sum = warpSum(sum);
  const i64 token = row / h;
  if ((threadIdx.x & 31) == 0) delta[(token / s * h + row % h) * s + token % s] = sum;
}
#define DELTA(name, T)                                                                                                 \
  extern "C" __global__ void attention_delta_##name(const T* __restrict__ g, const T* __restrict__ y, i64 rows, int s, \
                                                    int h, int d, float* __restrict__ delta) {                         \
    attentionDelta<T>(g, y, rows, s, h, d, delta);                                                                     \
  }
FLOATS(DELTA)

/** p = exp(scale q k' - lse); ds = p (g v' - delta) scale; dq = ds k: a block to a tile of queries of one head. */
template <class T, int C>
__device__ __forceinline__ void attentionQueries(const T* q, const T* k, const T* v, const int* segments, const T* g,
                                                 const f32* lse, const f32* delta, int s, int h, int hk, int d, f32 scale, T* dq) {
  __shared__ TileMemory memory;
  __shared__ int rowIds[TILE], columnIds[TILE];
  const int query0 = (gridDim.x - 1 - blockIdx.x) * TILE, head = blockIdx.y, batch = blockIdx.z;
  const int queries = min(TILE, s - query0), kvHead = head / (h / hk), row = tileRow();
  const i64 qStride = (i64)h * d, kStride = (i64)hk * d;
  const i64 qBegin = ((i64)batch * s + query0) * qStride + (i64)head * d, kBegin = (i64)batch * s * kStride + (i64)kvHead * d;
  if (threadIdx.x < TILE) rowIds[threadIdx.x] = threadIdx.x < queries ? segments[(i64)batch * s + query0 + threadIdx.x] : 0;
  f32 sums[C][4][4], p[4][4], ds[4][4], logs[4], deltas[4];
  clearSums(sums);
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const i64 at = ((i64)batch * h + head) * s + query0 + row + i;
    logs[i] = row + i < queries ? lse[at] : 0.0f;
    deltas[i] = row + i < queries ? delta[at] : 0.0f;
  }
  for (int key0 = 0; key0 < query0 + queries; key0 += TILE) {
    const int keys = min(TILE, s - key0);
    if (threadIdx.x < keys) columnIds[threadIdx.x] = segments[(i64)batch * s + key0 + threadIdx.x];
    __syncthreads();
    const u32 seen = seenBits(rowIds, columnIds, query0, key0, queries, keys, 0);
    if (!__syncthreads_or(seen)) continue;
    const Rows<T> keyRows = {k + kBegin + key0 * kStride, kStride, keys};
    tileProduct<T>(p, memory, Rows<T>{q + qBegin, qStride, queries}, keyRows, d);
    tileProduct<T>(ds, memory, Rows<T>{g + qBegin, qStride, queries}, Rows<T>{v + kBegin + key0 * kStride, kStride, keys}, d);
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
      for (int j = 0; j < 4; j++)
        ds[i][j] = seen >> (4 * i + j) & 1 ? expOf<T>(p[i][j] * scale - logs[i]) * (ds[i][j] - deltas[i]) * scale : 0.0f;
    storeWeights(memory, ds);
    tileAccumulate<T, C>(sums, memory, keyRows, d);
  }
  const f32 ones[4] = {1.0f, 1.0f, 1.0f, 1.0f};
  storeSums<T, C>(dq + qBegin, qStride, queries, d, sums, ones);
}
#define QUERIES(name, T, C)                                                                                            \
  extern "C" __global__ void __launch_bounds__(THREADS)                                                                \
      attention_queries_##name(const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v,              \
                               const int* __restrict__ segments, const T* __restrict__ g,                              \
                               const float* __restrict__ lse, const float* __restrict__ delta, int s, int h, int hk,   \
                               int d, float scale, T* __restrict__ dq) {                                               \
    attentionQueries<T, C>(q, k, v, segments, g, lse, delta, s, h, hk, d, scale, dq);                                  \
  }

/** dv = p' g, dk = ds' q: a block to a tile of keys, over the queries of all heads that share them, in a fixed order. */
template <class T, int C>
__device__ __forceinline__ void attentionKeys(const T* q, const T* k, const T* v, const int* segments, const T* g, const f32* lse,
                                              const f32* delta, int s, int h, int hk, int d, f32 scale, T* dk, T* dv) {
  __shared__ TileMemory memory;
  __shared__ int queryIds[TILE], keyIds[TILE];
  __shared__ f32 logs[TILE], deltas[TILE];
  const int key0 = blockIdx.x * TILE, kvHead = blockIdx.y, batch = blockIdx.z, group = h / hk;
  const int keys = min(TILE, s - key0), row = tileRow(), column = tileColumn();
  const i64 qStride = (i64)h * d, kStride = (i64)hk * d;
  const i64 kBegin = ((i64)batch * s + key0) * kStride + (i64)kvHead * d;
  const Rows<T> keyRows = {k + kBegin, kStride, keys}, valueRows = {v + kBegin, kStride, keys};
  if (threadIdx.x < TILE) keyIds[threadIdx.x] = threadIdx.x < keys ? segments[(i64)batch * s + key0 + threadIdx.x] : 0;
  f32 dkSums[C][4][4], dvSums[C][4][4], p[4][4], ds[4][4];
  clearSums(dkSums);
  clearSums(dvSums);
  for (int query0 = key0; query0 < s; query0 += TILE) {
    const int queries = min(TILE, s - query0);
    if (threadIdx.x < queries) queryIds[threadIdx.x] = segments[(i64)batch * s + query0 + threadIdx.x];
    __syncthreads();
    // rows of this tile are keys: bit 4i + j says whether query `column j` sees key `row i`
    u32 seen = 0;
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
      for (int j = 0; j < 4; j++)
        if (row + i < keys && column + j < queries && key0 + row + i <= query0 + column + j && keyIds[row + i] == queryIds[column + j])
          seen |= 1u << (4 * i + j);
    if (!__syncthreads_or(seen)) continue;
    for (int member = 0; member < group; member++) {
      const int head = kvHead * group + member;
      const i64 qBegin = ((i64)batch * s + query0) * qStride + (i64)head * d;
      const Rows<T> queryRows = {q + qBegin, qStride, queries}, gradRows = {g + qBegin, qStride, queries};
      if (threadIdx.x < TILE) {
        const i64 at = ((i64)batch * h + head) * s + query0 + threadIdx.x;
        logs[threadIdx.x] = threadIdx.x < queries ? lse[at] : 0.0f;
        deltas[threadIdx.x] = threadIdx.x < queries ? delta[at] : 0.0f;
      }
      tileProduct<T>(p, memory, keyRows, queryRows, d);
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) p[i][j] = seen >> (4 * i + j) & 1 ? expOf<T>(p[i][j] * scale - logs[column + j]) : 0.0f;
      storeWeights(memory, p);
      tileAccumulate<T, C>(dvSums, memory, gradRows, d);
      tileProduct<T>(ds, memory, valueRows, gradRows, d);
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) ds[i][j] = p[i][j] * (ds[i][j] - deltas[column + j]) * scale;
      storeWeights(memory, ds);
      tileAccumulate<T, C>(dkSums, memory, queryRows, d);
    }
  }
  const f32 ones[4] = {1.0f, 1.0f, 1.0f, 1.0f};
  storeSums<T, C>(dk + kBegin, kStride, keys, d, dkSums, ones);
  storeSums<T, C>(dv + kBegin, kStride, keys, d, dvSums, ones);
}
#define KEYS(name, T, C)                                                                                               \
  extern "C" __global__ void __launch_bounds__(THREADS)                                                                \
      attention_keys_##name(const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v,                 \
                            const int* __restrict__ segments, const T* __restrict__ g, const float* __restrict__ lse,  \
                            const float* __restrict__ delta, int s, int h, int hk, int d, float scale,                 \
                            T* __restrict__ dk, T* __restrict__ dv) {                                                  \
    attentionKeys<T, C>(q, k, v, segments, g, lse, delta, s, h, hk, d, scale, dk, dv);                                 \
  }

#define ATTENTION(name, T, C) FORWARD(name, T, C) QUERIES(name, T, C) KEYS(name, T, C)
// by the head size that fits: 64, 128, 256
ATTENTION(f32_64, f32, 1) ATTENTION(f32_128, f32, 2) ATTENTION(f32_256, f32, 4)
// of the 16-bit floats those that attention-cores.cu does not serve: wide heads, and odd ones
ATTENTION(bf16_256, bf16, 4) ATTENTION(f16_256, f16, 4)
