// Products with weights in 4-bit codes for a few rows of x, as in generating text: y[m, n] = x[m, k] W[n, k]^T + bias. A
// block has four rows of W, whose columns its four warps share, and reads half a byte a weight, once; x comes from the cache.
#include "codes.cuh"

#define ROWS 4
#define WARPS 4
#define CHUNKS 2

/** The scales of one row's blocks. NESTED: codes of the 8-bit map times the scale of their own block, and an offset. */
template <int NESTED> struct RowScales {
  const f32 *absmax, *map, *nested;
  const u8 *codes;
  int first, nestedShift;
  f32 offset;
  __device__ __forceinline__ f32 of(int block) const {
    if (NESTED == 0) return __ldg(absmax + block);
    return __fadd_rn(__fmul_rn(__ldg(map + __ldg(codes + block)), __ldg(nested + ((first + block) >> nestedShift))), offset);
  }
};

/** The value of nibble `at` of 8 codes, counted from the low end: the shift makes an offset in bytes of it. */
__device__ __forceinline__ f32 nibble(const f32 *value, u32 codes, int at) {
  const u32 bytes = (at == 0 ? codes << 2 : codes >> (4 * at - 2)) & 0x3c;
  return *(const f32 *)((const char *)value + bytes);
}

/** k is a multiple of 16 and of the block size 2^shift, x is aligned for 16-byte accesses and codes for 8. M >= m. */
template <class T, int M, int NESTED>
__device__ void rows4bit(const T *__restrict__ x, const u8 *__restrict__ codes, const f32 *absmax, const u8 *absmaxCodes,
                         const f32 *map, const f32 *nested, const f32 *offset, int nestedShift,
                         const f32 *__restrict__ values, const T *__restrict__ bias, T *__restrict__ y, int m, int n, int k,
                         int shift) {
  __shared__ f32 value[16], parts[WARPS][ROWS * M];
  if (threadIdx.x < 16) value[threadIdx.x] = values[threadIdx.x];
  __syncthreads();
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, first = blockIdx.x * ROWS;
  const u8 *row[ROWS];
  RowScales<NESTED> scales[ROWS];
#pragma unroll
  for (int r = 0; r < ROWS; r++) {
    const i64 start = (i64)min(first + r, n - 1) * k, block = start >> shift;
    row[r] = codes + start / 2;
    scales[r] = {NESTED ? nullptr : absmax + block, map, nested, absmaxCodes + block, (int)block, nestedShift,
                 NESTED ? *offset : 0.f};
  }
  // lanes 4 to 7 of eight read the halves of their 32 bytes of x the other way round, so that eight lanes meet all banks
  const int turn = lane >> 2 & 1;
  f32 sum[ROWS][M] = {};
  for (int from = warp * 512 * CHUNKS + lane * 16; from < k; from += WARPS * 512 * CHUNKS) {
    // eight stretches of the weight and their scales are on the way before the first is used
    uint2 read[CHUNKS][ROWS];
    f32 scale[CHUNKS][ROWS];
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
#pragma unroll
      for (int r = 0; r < ROWS; r++) read[c][r] = __ldcs((const uint2 *)(row[r] + min(from + c * 512, k - 16) / 2));
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
#pragma unroll
      for (int r = 0; r < ROWS; r++) scale[c][r] = scales[r].of(min(from + c * 512, k - 16) >> shift);
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
      if (from + c * 512 >= k) break;
      // one scaling of sums for one or two rows of x; of the weights for more, which leaves registers for sums
      f32 dot[ROWS][M] = {};
      f32(&into)[ROWS][M] = M > 2 ? sum : dot;
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int side = half ^ turn;
        f32 weight[ROWS][8];
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
          const u32 eight = side ? read[c][r].y : read[c][r].x;
#pragma unroll
          for (int j = 0; j < 8; j++) {
            weight[r][j] = nibble(value, eight, j ^ 1); // the first of two is the high one
            if (M > 2) weight[r][j] *= scale[c][r];
          }
        }
#pragma unroll
        for (int a = 0; a < M; a++) {
          const uint4 loaded = __ldg((const uint4 *)(x + (i64)min(a, m - 1) * k + from + c * 512 + side * 8));
          const T *part = (const T *)&loaded;
#pragma unroll
          for (int j = 0; j < 8; j++) {
            const f32 one = widen(part[j]);
#pragma unroll
            for (int r = 0; r < ROWS; r++) into[r][a] = fmaf(weight[r][j], one, into[r][a]);
          }
        }
      }
      if (M <= 2)
#pragma unroll
        for (int r = 0; r < ROWS; r++)
#pragma unroll
          for (int a = 0; a < M; a++) sum[r][a] = fmaf(dot[r][a], scale[c][r], sum[r][a]);
    }
  }
#pragma unroll
  for (int r = 0; r < ROWS; r++)
#pragma unroll
    for (int a = 0; a < M; a++) {
      const f32 whole = warpSum(sum[r][a]);
      if (lane == 0) parts[warp][a * ROWS + r] = whole;
    }
  __syncthreads();
  const int a = threadIdx.x / ROWS, column = first + threadIdx.x % ROWS;
  if (a >= min(m, M) || column >= n) return;
  f32 whole = bias ? widen(bias[column]) : 0.f;
#pragma unroll
  for (int part = 0; part < WARPS; part++) whole += parts[part][threadIdx.x];
  y[(i64)a * n + column] = narrow<T>(whole);
}

#define ROWS_ENTRY(name, T, M)                                                                                          \
  extern "C" __global__ void __launch_bounds__(128) rows_4bit_##name##_##M(                                             \
      const T *x, const u8 *codes, const f32 *absmax, const u8 *absmaxCodes, const f32 *map, const f32 *nested,         \
      const f32 *offset, int nestedShift, const f32 *values, const T *bias, T *y, int m, int n, int k, int shift) {     \
    if (absmax)                                                                                                         \
      rows4bit<T, M, 0>(x, codes, absmax, absmaxCodes, map, nested, offset, nestedShift, values, bias, y, m, n, k, shift); \
    else                                                                                                                \
      rows4bit<T, M, 1>(x, codes, absmax, absmaxCodes, map, nested, offset, nestedShift, values, bias, y, m, n, k, shift); \
  }
#define ROWS_ENTRIES(name, T) ROWS_ENTRY(name, T, 1) ROWS_ENTRY(name, T, 2) ROWS_ENTRY(name, T, 4) ROWS_ENTRY(name, T, 8)
ROWS_ENTRIES(bf16, bf16)
ROWS_ENTRIES(f16, f16)
