// y[m, n] = x[m, k] · w[n, k]ᵀ (+ y) for m up to 8, as generation has it: all the time goes into reading w once, so that
// many of its bytes must be on their way at any moment. Tensor cores multiply (mma m16n8k16, f32 sums; half of the 16 rows
// are zeros), since they do 8 rows for the price of one. Within every 32 elements of k both operands take their elements in
// the same other order, in which a lane's eight lie side by side: it reads 16 bytes at a time, straight into registers.
#include "chunk.cuh"

#define THREADS 256
#define WARPS (THREADS / 32)
/** Steps of 32 elements of k that a warp reads ahead. */
#define AHEAD 4

/** c += a b for a tile of 16 x 8, over 16 */
template <class T> __device__ __forceinline__ void mma(f32 (&c)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1);
#define MMA(T, name)                                                                                                   \
  template <>                                                                                                          \
  __device__ __forceinline__ void mma<T>(f32(&c)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {                 \
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." name "." name ".f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, " \
                 "{%0,%1,%2,%3};"                                                                                      \
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                                                      \
                 : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));                                              \
  }
MMA(bf16, "bf16")
MMA(f16, "f16")

/** A block makes eight columns of y; its warps take turns along k, and are added in order. */
template <class T>
__device__ __forceinline__ void fewRows(const T* x, const T* w, int m, int n, int k, int onto, T* y) {
  __shared__ f32 sums[WARPS][8][9];
  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
  const int first = blockIdx.x * 8, place = t * 8;
  // g is a row of x, and a row of w
  const T* weights = w + (i64)min(first + g, n - 1) * k + place;
  x += (i64)g * k + place;
  constexpr int step = 32 * AHEAD;

  f32 c[4] = {0.0f, 0.0f, 0.0f, 0.0f};
  const uint4 nothing = make_uint4(0, 0, 0, 0);
  uint4 next[AHEAD];
  const auto fetch = [&](int from) {
#pragma unroll
    for (int s = 0; s < AHEAD; s++)
      next[s] = from + s * 32 + place < k ? __ldcs((const uint4*)(weights + from + s * 32)) : nothing;
  };
  fetch(warp * step);
  for (int from = warp * step; from < k; from += WARPS * step) {
    uint4 now[AHEAD], rows[AHEAD];
#pragma unroll
    for (int s = 0; s < AHEAD; s++) {
      now[s] = next[s];
      rows[s] = g < m && from + s * 32 + place < k ? *(const uint4*)(x + from + s * 32) : nothing;
    }
    fetch(from + WARPS * step);
#pragma unroll
    for (int s = 0; s < AHEAD; s++) {
      mma<T>(c, rows[s].x, 0, rows[s].y, 0, now[s].x, now[s].y);
      mma<T>(c, rows[s].z, 0, rows[s].w, 0, now[s].z, now[s].w);
    }
  }
  sums[warp][g][t * 2] = c[0];
  sums[warp][g][t * 2 + 1] = c[1];
  __syncthreads();
  const int row = threadIdx.x / 8, column = threadIdx.x % 8;
  if (row >= m || first + column >= n) return;
  f32 sum = 0.0f;
#pragma unroll
  for (int i = 0; i < WARPS; i++) sum += sums[i][row][column];
  const i64 to = (i64)row * n + first + column;
  y[to] = narrow<T>(onto ? sum + widen(y[to]) : sum);
}

#define ENTRY(name, T)                                                                                                 \
  extern "C" __global__ void __launch_bounds__(THREADS, 3)                                                             \
      few_rows_##name(const T* __restrict__ x, const T* __restrict__ w, int m, int n, int k, int onto, T* y) {         \
    fewRows<T>(x, w, m, n, k, onto, y);                                                                                \
  }
ENTRY(bf16, bf16)
ENTRY(f16, f16)
