// Attention of new tokens over a key/value cache. A few tokens (generation) only move the cache: it is split along its
// length over blocks, so that one row fills the card, and a second kernel joins the parts (Dao et al. 2023). Many tokens
// (a prompt) go by tiles of queries. The grid depends on shapes alone; blocks beyond what is filled leave at once.
#include "attention-tiles.cuh"

#define SPLIT_THREADS 128
/** parts of a cache that may be joined */
#define MOST_PARTS 1024

#define PROMPT(name, T, C)                                                                                             \
  extern "C" __global__ void __launch_bounds__(THREADS)                                                                \
      cached_attention_prompt_##name(const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v,        \
                                     const int* __restrict__ start, int s, int t, int h, int hk, int d, float scale,   \
                                     T* __restrict__ y) {                                                              \
    attendTile<T, C>(q, k, v, nullptr, start[blockIdx.z], s, t, h, hk, d, scale, y, nullptr);                          \
  }
PROMPT(f32_64, f32, 1) PROMPT(f32_128, f32, 2) PROMPT(f32_256, f32, 4)
// other heads of the 16-bit floats go to attention-cores.cu
PROMPT(bf16_256, bf16, 4) PROMPT(f16_256, f16, 4)

/** Eight elements as they lie in memory. */
template <class T> struct Eight { Pack<T, PackWidth<T>::value> part[8 / PackWidth<T>::value]; };
/** Eight elements from `at` on, a multiple of 16 bytes, or zeros. */
template <class T> __device__ __forceinline__ Eight<T> loadEight(const T* at, bool inside) {
  Eight<T> x = {};
  if (inside)
#pragma unroll
    for (int i = 0; i < 8 / PackWidth<T>::value; i++) x.part[i] = ((const Pack<T, PackWidth<T>::value>*)at)[i];
  return x;
}
template <class T> __device__ __forceinline__ f32 element(const Eight<T>& x, int i) {
  return widen(x.part[i / PackWidth<T>::value].v[i % PackWidth<T>::value]);
}

/**
 * Rows that share a key head are the query heads of its group, token by token; R of them go through one part of the cache.
 * L lanes hold a row of the cache, eight elements each; every such team runs its own softmax over its keys, and the teams
 * of the block are joined at the end, in order. d is a multiple of 8. Moves the filled part of k and v once for every R rows.
 */
template <class T, int L, int R>
__device__ __forceinline__ void attendPart(const T* q, const T* k, const T* v, const int* start, int s, int t, int h, int hk,
                                           int d, f32 scale, int chunk, T* y, f32* parts, f32* weights) {
  constexpr int TEAMS = SPLIT_THREADS / L, AHEAD = 4, STEP = TEAMS * AHEAD;
  __shared__ f32 tops[TEAMS][R], totals[TEAMS][R], joined[R][SPLIT_THREADS * 8];
  const int group = h / hk, rows = group * s, blocks = (rows + R - 1) / R;
  const int kvHead = blockIdx.y / blocks, row0 = blockIdx.y % blocks * R, batch = blockIdx.z, split = blockIdx.x;
  const int team = threadIdx.x / L, place = threadIdx.x % L * 8;
  const int had = start[batch], begin = split * chunk;
  // read along with `had`, so that the two do not wait for each other
  Eight<T> read[R];
#pragma unroll
  for (int r = 0; r < R; r++) {
    const int row = min(row0 + r, rows - 1), token = row / group, head = kvHead * group + row % group;
    read[r] = loadEight(q + (((i64)batch * s + token) * h + head) * d + place, place < d);
  }
  const int end = min(min(begin + chunk, t), had + (min(row0 + R, rows) - 1) / group + 1);
  if (begin >= end) return;

  const i64 stride = (i64)hk * d, base = (i64)batch * t * stride + (i64)kvHead * d + place;
  f32 asked[R][8], sums[R][8], top[R], total[R];
  int limit[R];
#pragma unroll
  for (int r = 0; r < R; r++) {
#pragma unroll
    for (int i = 0; i < 8; i++) {
      asked[r][i] = element(read[r], i) * scale;
      sums[r][i] = 0.0f;
    }
    limit[r] = had + min(row0 + r, rows - 1) / group + 1;
    top[r] = NOTHING;
    total[r] = 0.0f;
  }
  Eight<T> keys[AHEAD], values[AHEAD];
  const auto fetch = [&](int first) {
#pragma unroll
    for (int u = 0; u < AHEAD; u++) {
      const int key = first + u * TEAMS + team;
      keys[u] = loadEight(k + base + key * stride, key < end && place < d);
      values[u] = loadEight(v + base + key * stride, key < end && place < d);
    }
  };
  fetch(begin);
  for (int first = begin; first < end; first += STEP) {
    f32 scores[AHEAD][R];
#pragma unroll
    for (int u = 0; u < AHEAD; u++)
#pragma unroll
      for (int r = 0; r < R; r++) {
        f32 sum = 0.0f;
#pragma unroll
        for (int i = 0; i < 8; i++) sum = fmaf(asked[r][i], element(keys[u], i), sum);
        scores[u][r] = sum;
      }
    Eight<T> now[AHEAD];
#pragma unroll
    for (int u = 0; u < AHEAD; u++) now[u] = values[u];
    // the next keys and values come while these are worked on
    fetch(first + STEP);
#pragma unroll
    for (int u = 0; u < AHEAD; u++)
#pragma unroll
      for (int r = 0; r < R; r++) {
#pragma unroll
        for (int o = L / 2; o > 0; o >>= 1) scores[u][r] += __shfl_xor_sync(0xffffffffu, scores[u][r], o);
        const int key = first + u * TEAMS + team;
        if (key >= end || key >= limit[r]) scores[u][r] = NOTHING;
      }
#pragma unroll
    for (int r = 0; r < R; r++) {
      f32 best = top[r];
#pragma unroll
      for (int u = 0; u < AHEAD; u++) best = fmaxf(best, scores[u][r]);
      if (best == NOTHING) continue;
      const f32 fade = expOf<T>(top[r] - best);
      top[r] = best;
      total[r] *= fade;
#pragma unroll
      for (int i = 0; i < 8; i++) sums[r][i] *= fade;
#pragma unroll
      for (int u = 0; u < AHEAD; u++) {
        const f32 p = expOf<T>(scores[u][r] - best);
        total[r] += p;
#pragma unroll
        for (int i = 0; i < 8; i++) sums[r][i] = fmaf(p, element(now[u], i), sums[r][i]);
      }
    }
  }
  if (place == 0)
#pragma unroll
    for (int r = 0; r < R; r++) {
      tops[team][r] = top[r];
      totals[team][r] = total[r];
    }
  __syncthreads();
  f32 best[R], all[R];
#pragma unroll
  for (int r = 0; r < R; r++) {
    best[r] = NOTHING;
    all[r] = 0.0f;
#pragma unroll
    for (int i = 0; i < TEAMS; i++) best[r] = fmaxf(best[r], tops[i][r]);
#pragma unroll
    for (int i = 0; i < TEAMS; i++) all[r] += tops[i][r] == NOTHING ? 0.0f : totals[i][r] * expOf<T>(tops[i][r] - best[r]);
    const f32 fade = top[r] == NOTHING ? 0.0f : expOf<T>(top[r] - best[r]);
#pragma unroll
    for (int i = 0; i < 8; i++) joined[r][team * L * 8 + place + i] = sums[r][i] * fade;
  }
  __syncthreads();
#pragma unroll
  for (int r = 0; r < R; r++) {
    if (row0 + r >= rows) break;
    const int row = row0 + r, token = row / group, head = kvHead * group + row % group;
    const i64 line = ((i64)batch * s + token) * h + head;
    for (int c = threadIdx.x; c < d; c += SPLIT_THREADS) {
      f32 sum = 0.0f;
#pragma unroll
      for (int i = 0; i < TEAMS; i++) sum += joined[r][i * L * 8 + c];
      if (parts) parts[(line * gridDim.x + split) * d + c] = sum;
      else y[line * d + c] = narrow<T>(sum / all[r]);
    }
    if (parts && threadIdx.x == 0) {
      weights[(line * gridDim.x + split) * 2] = best[r];
      weights[(line * gridDim.x + split) * 2 + 1] = all[r];
    }
  }
}
#define PART(name, T, L, R)                                                                                            \
  extern "C" __global__ void __launch_bounds__(SPLIT_THREADS) cached_attention_part_##name##_##L##_##R(                \
      const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v, const int* __restrict__ start, int s, \
      int t, int h, int hk, int d, float scale, int chunk, T* __restrict__ y, float* __restrict__ parts,               \
      float* __restrict__ weights) {                                                                                   \
    attendPart<T, L, R>(q, k, v, start, s, t, h, hk, d, scale, chunk, y, parts, weights);                              \
  }
// by lanes to a row (eight elements each) and by rows that go together
#define BY_ROWS(name, T, L) PART(name, T, L, 1) PART(name, T, L, 4)
#define PARTS(name, T) BY_ROWS(name, T, 8) BY_ROWS(name, T, 16) BY_ROWS(name, T, 32)
FLOATS(PARTS)

/** y = sum of exp(top - best) part / sum of exp(top - best) total, over the parts that the row sees: a block to a row. */
template <class T>
__device__ __forceinline__ void attendJoin(const f32* parts, const f32* weights, const int* start, int s, int t, int h, int d,
                                           int chunk, int splits, T* y) {
  const i64 line = blockIdx.x;
  const int token = (int)(line / h % s), batch = (int)(line / h / s);
  const int used = (min(start[batch] + token + 1, t) + chunk - 1) / chunk;
  const f32* mine = weights + line * splits * 2;
  __shared__ f32 factors[MOST_PARTS];
  f32 best = NOTHING, all = 0.0f;
  for (int i = threadIdx.x; i < used; i += blockDim.x) best = fmaxf(best, mine[2 * i]);
  best = blockMax(best);
  for (int i = threadIdx.x; i < used; i += blockDim.x) {
    factors[i] = expOf<T>(mine[2 * i] - best);
    all += mine[2 * i + 1] * factors[i];
  }
  // its barriers let every thread see the factors
  all = blockSum(all);
  for (int c = threadIdx.x; c < d; c += blockDim.x) {
    f32 sum = 0.0f;
#pragma unroll 8
    for (int i = 0; i < used; i++) sum = fmaf(parts[(line * splits + i) * d + c], factors[i], sum);
    y[line * d + c] = narrow<T>(sum / all);
  }
}
#define JOIN(name, T)                                                                                                  \
  extern "C" __global__ void cached_attention_join_##name(const float* __restrict__ parts,                             \
                                                          const float* __restrict__ weights,                           \
                                                          const int* __restrict__ start, int s, int t, int h, int d,   \
                                                          int chunk, int splits, T* __restrict__ y) {                  \
    attendJoin<T>(parts, weights, start, s, t, h, d, chunk, splits, y);                                                \
  }
FLOATS(JOIN)

/** y[b, start[b] + i, :] = rows[b, i, :], in a cache whose rows of `width` elements are moved in words of their common size. */
template <class W>
__device__ __forceinline__ void writeRows(const W* rows, const int* start, i64 count, i64 span, i64 capacity, i64 width, W* y) {
  for (i64 i = globalThread(); i < count; i += globalThreads()) {
    const i64 batch = i / span;
    y[(batch * capacity + start[batch]) * width + i % span] = rows[i];
  }
}
#define WRITE(name, W)                                                                                                 \
  extern "C" __global__ void update_cache_##name(const W* __restrict__ rows, const int* __restrict__ start, i64 count, \
                                                 i64 span, i64 capacity, i64 width, W* __restrict__ y) {               \
    writeRows<W>(rows, start, count, span, capacity, width, y);                                                        \
  }
typedef Pack<u32, 4> words;
WRITE(2, unsigned short)
WRITE(4, u32)
WRITE(16, words)
