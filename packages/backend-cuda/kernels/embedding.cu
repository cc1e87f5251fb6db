// Rows of a table by id, and the sums of gradients by id. Ids and gradients are read once, outputs written once.
#include "chunk.cuh"

/** y[i] = table[ids[i]] in another dtype; NaN for an id outside the table, so that the loss tells. A block writes a row. */
template <int N, class T, class O>
__device__ __forceinline__ void lookup(const T* __restrict__ table, const int* __restrict__ ids, int vocab, int h,
                                       O* __restrict__ y) {
  const int chunks = h / N;
  const i64 row = blockIdx.x;
  const int id = ids[row];
  const bool inside = id >= 0 && id < vocab;
  table += (i64)(inside ? id : 0) * h;
  y += row * h;
#pragma unroll 4
  for (int c = threadIdx.x; c < chunks; c += blockDim.x) {
    Chunk<N, T> from;
    Chunk<N, O> to;
    from.load(table + c * N);
#pragma unroll
    for (int i = 0; i < N; i++) to.set(i, inside ? from[i] : __int_as_float(0x7fffffff));
    to.store(y + c * N);
  }
}

/**
 * Ids in ascending order, equal ones in order of their places: sorted[rank] = (id, place). The rank of a place is how many
 * (id, place) lie before its own, counted over all n: no step depends on another, and 8192 ids take microseconds. A block
 * has 32 places, one a lane; each of its eight warps counts in its eighth of a tile.
 */
extern "C" __global__ void embedding_sort(const int* __restrict__ ids, int n, int2* __restrict__ sorted) {
  const int SHARE = 128;
  __shared__ int4 tile[8 * SHARE / 4];
  __shared__ int ranks[8][32];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, place = blockIdx.x * 32 + lane;
  const int id = place < n ? ids[place] : 0;
  const int4* share = tile + warp * (SHARE / 4);
  int rank = 0;
  for (int from = 0; from < n; from += 8 * SHARE) {
    __syncthreads();
    for (int i = threadIdx.x; i < 8 * SHARE; i += blockDim.x) ((int*)tile)[i] = from + i < n ? ids[from + i] : 0x7fffffff;
    __syncthreads();
    // what fills up the last tile lies after every place, and nothing is greater than it
    const int before = place - (from + warp * SHARE);
    if (before >= SHARE) {
#pragma unroll 8
      for (int i = 0; i < SHARE / 4; i++) {
        const int4 v = share[i];
        rank += ((v.x <= id) + (v.y <= id)) + ((v.z <= id) + (v.w <= id));
      }
    } else if (before <= 0) {
#pragma unroll 8
      for (int i = 0; i < SHARE / 4; i++) {
        const int4 v = share[i];
        rank += ((v.x < id) + (v.y < id)) + ((v.z < id) + (v.w < id));
      }
    } else {
#pragma unroll 4
      for (int i = 0; i < SHARE; i++) {
        const int v = ((const int*)share)[i];
        rank += i < before ? v <= id : v < id;
      }
    }
  }
  ranks[warp][lane] = rank;
  __syncthreads();
  if (warp > 0 || place >= n) return;
#pragma unroll
  for (int w = 1; w < 8; w++) rank += ranks[w][lane];
  sorted[rank] = make_int2(id, place);
}

/**
 * dTable[id] = Σ of the gradients of that id's places, in order of the places and in f32, added to what is there if beta is
 * 1. Blocks are [n, column tiles]: one whose id began before leaves. Rows of ids that do not occur are not touched.
 */
template <int N, class T, class G>
__device__ __forceinline__ void sumRows(const int2* __restrict__ sorted, const G* __restrict__ g, int n, int vocab, int h,
                                        int beta, T* __restrict__ table) {
  const int AHEAD = 8;
  const int first = blockIdx.x, id = sorted[first].x;
  if (id < 0 || id >= vocab || (first > 0 && sorted[first - 1].x == id)) return;
  const int c = (blockIdx.y * blockDim.x + threadIdx.x) * N;
  if (c >= h) return;
  f32 sum[N];
#pragma unroll
  for (int i = 0; i < N; i++) sum[i] = 0;
  int2 at[AHEAD];
  const auto places = [&](int from) {
#pragma unroll
    for (int j = 0; j < AHEAD; j++) at[j] = from + j < n ? sorted[from + j] : make_int2(-1, 0);
  };
  places(first);
  bool more = true;
  for (int k = first + AHEAD; more; k += AHEAD) {
    Chunk<N, G> row[AHEAD];
    bool mine[AHEAD];
#pragma unroll
    for (int j = 0; j < AHEAD; j++) {
      mine[j] = at[j].x == id;
      if (mine[j]) row[j].load(g + (i64)at[j].y * h + c);
    }
    // the next places are on their way while these rows are
    more = mine[AHEAD - 1];
    if (more) places(k);
#pragma unroll
    for (int j = 0; j < AHEAD; j++)
      if (mine[j]) {
#pragma unroll
        for (int i = 0; i < N; i++) sum[i] += row[j][i];
      }
  }
  table += (i64)id * h + c;
  Chunk<N, T> out;
  if (beta) {
    out.load(table);
#pragma unroll
    for (int i = 0; i < N; i++) sum[i] += out[i];
  }
#pragma unroll
  for (int i = 0; i < N; i++) out.set(i, sum[i]);
  out.store(table);
}

#define ENTRY(table_name, T, name, O)                                                                                   \
  extern "C" __global__ void embedding_##table_name##_##name(const T* __restrict__ table, const int* __restrict__ ids,  \
                                                             int vocab, int h, int aligned, O* __restrict__ y) {        \
    const int N = 16 / (sizeof(T) > sizeof(O) ? sizeof(T) : sizeof(O));                                                 \
    if (aligned) lookup<N, T, O>(table, ids, vocab, h, y);                                                              \
    else lookup<1, T, O>(table, ids, vocab, h, y);                                                                      \
  }                                                                                                                     \
  extern "C" __global__ void embedding_sum_##table_name##_##name(const int2* __restrict__ sorted,                       \
                                                                 const O* __restrict__ g, int n, int vocab, int h,      \
                                                                 int beta, T* __restrict__ table) {                     \
    sumRows<16 / (sizeof(T) > sizeof(O) ? sizeof(T) : sizeof(O)), T, O>(sorted, g, n, vocab, h, beta, table);           \
  }                                                                                                                     \
  extern "C" __global__ void embedding_sum_single_##table_name##_##name(const int2* __restrict__ sorted,                \
                                                                        const O* __restrict__ g, int n, int vocab,      \
                                                                        int h, int beta, T* __restrict__ table) {       \
    sumRows<1, T, O>(sorted, g, n, vocab, h, beta, table);                                                              \
  }
#define ENTRIES(name, T) ENTRY(name, T, f32, f32) ENTRY(name, T, bf16, bf16) ENTRY(name, T, f16, f16)
FLOATS(ENTRIES)
