// What cuDNN's packed attention wants to know about a batch: where its sequences begin and how long they are, made on the
// card from the segment ids, so that one recorded step serves every batch. And the two orders of per-row statistics.
#include "common.cuh"

/**
 * Runs of equal ids within rows of s, as sequences one behind another: lengths[slots], and offsets[slots + 1] in elements
 * of the tensors that have `qUnit`, `kUnit` and `rowUnit` of them to a token. Slots without a run are empty, at the end.
 * One block of 1024 threads; reads 4 n bytes.
 */
extern "C" __global__ void __launch_bounds__(1024)
    segment_runs(const int* __restrict__ segments, int n, int s, int slots, i64 qUnit, i64 kUnit, i64 rowUnit,
                 int* __restrict__ lengths, i64* __restrict__ qOffsets, i64* __restrict__ kOffsets, i64* __restrict__ rowOffsets) {
  __shared__ int counts[32];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const int per = (n + 1023) / 1024, begin = min(n, (int)threadIdx.x * per), end = min(n, begin + per);
  int found = 0;
  for (int i = begin; i < end; i++) found += i % s == 0 || segments[i] != segments[i - 1];
  int before = found;
#pragma unroll
  for (int o = 1; o < 32; o <<= 1) {
    const int other = __shfl_up_sync(0xffffffffu, before, o);
    if (lane >= o) before += other;
  }
  if (lane == 31) counts[warp] = before;
  __syncthreads();
  int total = 0;
  before -= found;
  for (int i = 0; i < 32; i++) {
    if (i < warp) before += counts[i];
    total += counts[i];
  }
  for (int i = begin; i < end; i++)
    if (i % s == 0 || segments[i] != segments[i - 1]) {
      if (before < slots) rowOffsets[before] = i;
      before++;
    }
  for (int i = total + threadIdx.x; i <= slots; i += 1024) rowOffsets[i] = n;
  if (threadIdx.x == 0 && total > slots) rowOffsets[slots] = n;
  __syncthreads();
  for (int i = threadIdx.x; i < slots; i += 1024) lengths[i] = (int)(rowOffsets[i + 1] - rowOffsets[i]);
  __syncthreads();
  for (int i = threadIdx.x; i <= slots; i += 1024) {
    const i64 token = rowOffsets[i];
    qOffsets[i] = token * qUnit;
    kOffsets[i] = token * kUnit;
    rowOffsets[i] = token * rowUnit;
  }
}

/** to[b, column, row] = from[b, row, column]: statistics of [tokens, heads] to [b, heads, s], or back. */
extern "C" __global__ void turn_statistics(const float* __restrict__ from, i64 count, int rows, int columns, float* __restrict__ to) {
  const i64 i = globalThread();
  if (i >= count) return;
  const i64 row = i % rows, column = i / rows % columns, batch = i / rows / columns;
  to[i] = from[(batch * rows + row) * columns + column];
}
