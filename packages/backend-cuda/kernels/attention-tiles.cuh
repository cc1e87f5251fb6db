// Attention by tiles of 64 x 64 on plain f32 arithmetic, for any dtype, head size (up to 256) and length. A block of 256
// threads works as 16 x 16; thread (ty, tx) holds rows 4ty.. and columns 4tx.. of a tile. Both products of a tile read
// their operands through shared memory in packs of four, which keeps the arithmetic units busy rather than the loads.
#pragma once
#include "common.cuh"

#define TILE 64
#define DEPTH 32
/** floats from one line of a tile in shared memory to the next: 8 x 4 stores of a warp fall into 32 different banks */
#define PITCH 68
#define THREADS 256
/** the score of what is not seen: minus infinity */
#define NOTHING __int_as_float(0xff800000)

/** What a block shares: two operands of a product (or one of a sum), and the weights of a sum. */
struct TileMemory {
  alignas(16) f32 operands[2 * DEPTH * PITCH];
  alignas(16) f32 weights[TILE * PITCH];
};

/** Rows of one head in a [tokens, heads, d] tensor. */
template <class T> struct Rows {
  const T* at;
  i64 stride;
  int count;
};

__device__ __forceinline__ int tileRow() { return (threadIdx.x >> 4) * 4; }
__device__ __forceinline__ int tileColumn() { return (threadIdx.x & 15) * 4; }

template <class T> __device__ __forceinline__ f32 expOf(f32 x) { return __expf(x); }
template <> __device__ __forceinline__ f32 expOf<f32>(f32 x) { return expf(x); }

/** Over the 16 threads that share the rows of a tile. */
__device__ __forceinline__ f32 rowMax(f32 x) {
#pragma unroll
  for (int o = 8; o > 0; o >>= 1) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, o));
  return x;
}
__device__ __forceinline__ f32 rowSum(f32 x) {
#pragma unroll
  for (int o = 8; o > 0; o >>= 1) x += __shfl_xor_sync(0xffffffffu, x, o);
  return x;
}

/** to[column][row] = rows[row][from + column], zero outside. */
template <class T> __device__ __forceinline__ void loadTurned(f32* to, const Rows<T>& rows, int d, int from) {
  const int low = threadIdx.x & 7, high = threadIdx.x >> 3;
#pragma unroll
  for (int half = 0; half < TILE; half += 32) {
    const int row = high + half;
    const T* line = rows.at + row * rows.stride + from;
#pragma unroll
    for (int eight = 0; eight < DEPTH; eight += 8) {
      const int column = low + eight;
      to[column * PITCH + row] = row < rows.count && from + column < d ? widen(line[column]) : 0.0f;
    }
  }
}

/** sums[i][j] = a[row i] . b[column j] over d */
template <class T>
__device__ __forceinline__ void tileProduct(f32 (&sums)[4][4], TileMemory& memory, const Rows<T>& a, const Rows<T>& b, int d) {
#pragma unroll
  for (int i = 0; i < 4; i++)
#pragma unroll
    for (int j = 0; j < 4; j++) sums[i][j] = 0.0f;
  const int row = tileRow(), column = tileColumn();
  for (int from = 0; from < d; from += DEPTH) {
    __syncthreads();
    loadTurned(memory.operands, a, d, from);
    loadTurned(memory.operands + DEPTH * PITCH, b, d, from);
    __syncthreads();
#pragma unroll 8
    for (int k = 0; k < DEPTH; k++) {
      const Pack<f32, 4> x = *(const Pack<f32, 4>*)(memory.operands + k * PITCH + row);
      const Pack<f32, 4> y = *(const Pack<f32, 4>*)(memory.operands + (DEPTH + k) * PITCH + column);
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) sums[i][j] = fmaf(x.v[i], y.v[j], sums[i][j]);
    }
  }
}

/** Puts a tile where tileAccumulate reads it: weights[column][row]. */
__device__ __forceinline__ void storeWeights(TileMemory& memory, const f32 (&tile)[4][4]) {
  const int row = tileRow(), column = tileColumn();
#pragma unroll
  for (int j = 0; j < 4; j++) {
    Pack<f32, 4> line;
#pragma unroll
    for (int i = 0; i < 4; i++) line.v[i] = tile[i][j];
    *(Pack<f32, 4>*)(memory.weights + (column + j) * PITCH + row) = line;
  }
}

/** sums[c][i][j] += sum over k of weights[k][row i] * x[k][64c + column j] */
template <class T, int C>
__device__ __forceinline__ void tileAccumulate(f32 (&sums)[C][4][4], TileMemory& memory, const Rows<T>& x, int d) {
  const int row = tileRow(), column = tileColumn();
#pragma unroll
  for (int c = 0; c < C; c++) {
    if (c * 64 >= d) break;
    __syncthreads();
#pragma unroll
    for (int step = 0; step < TILE * 64; step += THREADS) {
      const int line = (threadIdx.x + step) >> 6, place = c * 64 + (threadIdx.x & 63);
      memory.operands[threadIdx.x + step] = line < x.count && place < d ? widen(x.at[line * x.stride + place]) : 0.0f;
    }
    __syncthreads();
#pragma unroll 8
    for (int k = 0; k < TILE; k++) {
      const Pack<f32, 4> w = *(const Pack<f32, 4>*)(memory.weights + k * PITCH + row);
      const Pack<f32, 4> y = *(const Pack<f32, 4>*)(memory.operands + k * 64 + column);
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) sums[c][i][j] = fmaf(w.v[i], y.v[j], sums[c][i][j]);
    }
  }
}

template <int C> __device__ __forceinline__ void clearSums(f32 (&sums)[C][4][4]) {
#pragma unroll
  for (int c = 0; c < C; c++)
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
      for (int j = 0; j < 4; j++) sums[c][i][j] = 0.0f;
}

/** Writes row i of the sums, each times factors[i]. */
template <class T, int C>
__device__ __forceinline__ void storeSums(T* at, i64 stride, int count, int d, const f32 (&sums)[C][4][4], const f32 (&factors)[4]) {
  const int row = tileRow(), column = tileColumn();
#pragma unroll
  for (int i = 0; i < 4; i++) {
    if (row + i >= count) continue;
#pragma unroll
    for (int c = 0; c < C; c++)
#pragma unroll
      for (int j = 0; j < 4; j++)
        if (c * 64 + column + j < d) at[(row + i) * stride + c * 64 + column + j] = narrow<T>(sums[c][i][j] * factors[i]);
  }
}

/** Which queries of a tile see which keys: bit 4i + j is set where key `column j` is seen by query `row i`. */
__device__ __forceinline__ u32 seenBits(const int* rowIds, const int* columnIds, int query0, int key0, int queries, int keys, int start) {
  const int row = tileRow(), column = tileColumn();
  u32 bits = 0;
#pragma unroll
  for (int i = 0; i < 4; i++)
#pragma unroll
    for (int j = 0; j < 4; j++) {
      const bool inside = row + i < queries && column + j < keys && key0 + column + j <= start + query0 + row + i;
      if (inside && (rowIds == nullptr || rowIds[row + i] == columnIds[column + j])) bits |= 1u << (4 * i + j);
    }
  return bits;
}

/**
 * One tile of 64 queries of one head, over all the keys that any of them sees, the softmax running along (Milakov and
 * Gimelshein 2018, Dao et al. 2022): y = softmax(scale q k') v, lse = log of the sum of exp(scale q k').
 * Query i is token start + i. Without segments all earlier keys are seen.
 */
template <class T, int C>
__device__ __forceinline__ void attendTile(const T* q, const T* k, const T* v, const int* segments, int start, int s, int t,
                                           int h, int hk, int d, f32 scale, T* y, f32* lse) {
  __shared__ TileMemory memory;
  __shared__ int rowIds[TILE], columnIds[TILE];
  // the tiles that see most begin first
  const int query0 = (gridDim.x - 1 - blockIdx.x) * TILE, head = blockIdx.y, batch = blockIdx.z;
  const int queries = min(TILE, s - query0), kvHead = head / (h / hk), row = tileRow();
  const i64 qStride = (i64)h * d, kStride = (i64)hk * d;
  const i64 qBegin = ((i64)batch * s + query0) * qStride + (i64)head * d, kBegin = (i64)batch * t * kStride + (i64)kvHead * d;
  const Rows<T> asked = {q + qBegin, qStride, queries};
  if (segments && threadIdx.x < TILE) rowIds[threadIdx.x] = threadIdx.x < queries ? segments[(i64)batch * s + query0 + threadIdx.x] : 0;

  f32 sums[C][4][4], tile[4][4], top[4], total[4];
  clearSums(sums);
#pragma unroll
  for (int i = 0; i < 4; i++) {
    top[i] = NOTHING;
    total[i] = 0.0f;
  }
  const int end = min(t, start + query0 + queries);
  for (int key0 = 0; key0 < end; key0 += TILE) {
    const int keys = min(TILE, t - key0);
    u32 seen;
    if (segments) {
      if (threadIdx.x < keys) columnIds[threadIdx.x] = segments[(i64)batch * s + key0 + threadIdx.x];
      __syncthreads();
      seen = seenBits(rowIds, columnIds, query0, key0, queries, keys, start);
      if (!__syncthreads_or(seen)) continue;
    } else {
      seen = seenBits(nullptr, nullptr, query0, key0, queries, keys, start);
    }
    tileProduct<T>(tile, memory, asked, Rows<T>{k + kBegin + key0 * kStride, kStride, keys}, d);
#pragma unroll
    for (int i = 0; i < 4; i++) {
      f32 best = top[i];
#pragma unroll
      for (int j = 0; j < 4; j++) {
        tile[i][j] = seen >> (4 * i + j) & 1 ? tile[i][j] * scale : NOTHING;
        best = fmaxf(best, tile[i][j]);
      }
      best = rowMax(best);
      const f32 fade = best == NOTHING ? 1.0f : expOf<T>(top[i] - best);
      total[i] *= fade;
#pragma unroll
      for (int j = 0; j < 4; j++) {
        tile[i][j] = tile[i][j] == NOTHING ? 0.0f : expOf<T>(tile[i][j] - best);
        total[i] += tile[i][j];
      }
      top[i] = best;
#pragma unroll
      for (int c = 0; c < C; c++)
#pragma unroll
        for (int j = 0; j < 4; j++) sums[c][i][j] *= fade;
    }
    storeWeights(memory, tile);
    tileAccumulate<T, C>(sums, memory, Rows<T>{v + kBegin + key0 * kStride, kStride, keys}, d);
  }
  f32 factors[4];
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const f32 all = rowSum(total[i]);
    factors[i] = 1.0f / all;
    if (lse && row + i < queries && tileColumn() == 0) lse[((i64)batch * h + head) * s + query0 + row + i] = top[i] + logf(all);
  }
  storeSums<T, C>(y + qBegin, qStride, queries, d, sums, factors);
}
