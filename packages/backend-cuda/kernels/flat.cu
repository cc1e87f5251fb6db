// Kernels over flat arrays: the gated unit, sums, products with one number, sums of squares. Each reads its inputs and
// writes its outputs once; outputs may be inputs.
#include "chunk.cuh"

__device__ __forceinline__ f32 sigmoid(f32 x) { return __fdividef(1.0f, 1.0f + expf(-x)); }

/** y = silu(gate)·up */
template <class T> __device__ __forceinline__ void swigluForward(const T* gate, const T* up, i64 n, int aligned, T* y) {
  eachChunk<16 / sizeof(T)>(n, aligned, [&](auto width, i64 i) {
    const int N = decltype(width)::value;
    Chunk<N, T> g, u;
    g.load(gate + i);
    u.load(up + i);
#pragma unroll
    for (int e = 0; e < N; e++) g.set(e, g[e] * sigmoid(g[e]) * u[e]);
    g.store(y + i);
  });
}

/** With s = sigmoid(gate): dUp = g·gate·s; dGate = g·up·s·(1 + gate·(1 − s)). dGate may be gate, and dUp up. */
template <class T>
__device__ __forceinline__ void swigluBackward(const T* gate, const T* up, const T* grad, i64 n, int aligned, T* dGate,
                                               T* dUp) {
  eachChunk<16 / sizeof(T)>(n, aligned, [&](auto width, i64 i) {
    const int N = decltype(width)::value;
    Chunk<N, T> g, u, dy;
    g.load(gate + i);
    u.load(up + i);
    dy.load(grad + i);
#pragma unroll
    for (int e = 0; e < N; e++) {
      const f32 x = g[e], s = sigmoid(x), d = dy[e];
      g.set(e, d * u[e] * (s * (1.0f + x * (1.0f - s))));
      u.set(e, d * (x * s));
    }
    if (dGate) g.store(dGate + i);
    if (dUp) u.store(dUp + i);
  });
}

struct Add {
  __device__ __forceinline__ f32 operator()(f32 a, f32 b) const { return a + b; }
};
struct Multiply {
  __device__ __forceinline__ f32 operator()(f32 a, f32 b) const { return a * b; }
};
struct Divide {
  __device__ __forceinline__ f32 operator()(f32 a, f32 b) const { return a / b; }
};

template <class F, class T> __device__ __forceinline__ void withOther(const T* a, const T* b, i64 n, int aligned, T* y) {
  eachChunk<16 / sizeof(T)>(n, aligned, [&](auto width, i64 i) {
    const int N = decltype(width)::value;
    Chunk<N, T> p, q;
    p.load(a + i);
    q.load(b + i);
#pragma unroll
    for (int e = 0; e < N; e++) p.set(e, F()(p[e], q[e]));
    p.store(y + i);
  });
}

template <class F, class T> __device__ __forceinline__ void withNumber(const T* x, const T* by, i64 n, int aligned, T* y) {
  const f32 number = widen(*by);
  eachChunk<16 / sizeof(T)>(n, aligned, [&](auto width, i64 i) {
    const int N = decltype(width)::value;
    Chunk<N, T> p;
    p.load(x + i);
#pragma unroll
    for (int e = 0; e < N; e++) p.set(e, F()(p[e], number));
    p.store(y + i);
  });
}

/** The thread's part of Σ x², four chunks of its stretch under way at a time. */
template <int N, class T> __device__ __forceinline__ f64 squares(const T* x, i64 n) {
  f32 sum[4] = {0, 0, 0, 0};
  const i64 step = globalThreads() * N;
#pragma unroll 1
  for (i64 i = globalThread() * N; i + N <= n; i += 4 * step) {
    Chunk<N, T> c[4];
#pragma unroll
    for (int k = 0; k < 4; k++)
      if (i + k * step + N <= n) c[k].load(x + i + k * step);
#pragma unroll
    for (int k = 0; k < 4; k++)
      if (i + k * step + N <= n) {
#pragma unroll
        for (int e = 0; e < N; e++) sum[k] += c[k][e] * c[k][e];
      }
  }
  const i64 rest = n - n % N + globalThread();
  if (rest < n) sum[0] += widen(x[rest]) * widen(x[rest]);
  return ((f64)sum[0] + sum[1]) + ((f64)sum[2] + sum[3]);
}

/** out[block] = a block's part of Σ x²: sums are f32 within a thread, f64 beyond. */
template <class T, class O> __device__ __forceinline__ void sumSquares(const T* x, i64 n, int aligned, O* out) {
  const f64 total = blockSum<f64>(aligned ? squares<16 / sizeof(T), T>(x, n) : squares<1, T>(x, n));
  if (threadIdx.x == 0) out[blockIdx.x] = (O)total;
}

#define ENTRY(name, T)                                                                                                  \
  extern "C" __global__ void swiglu_forward_##name(const T* gate, const T* up, i64 n, int aligned, T* y) {              \
    swigluForward<T>(gate, up, n, aligned, y);                                                                          \
  }                                                                                                                     \
  extern "C" __global__ void swiglu_backward_##name(const T* gate, const T* up, const T* grad, i64 n, int aligned,      \
                                                    T* dGate, T* dUp) {                                                 \
    swigluBackward<T>(gate, up, grad, n, aligned, dGate, dUp);                                                          \
  }                                                                                                                     \
  extern "C" __global__ void flat_add_##name(const T* a, const T* b, i64 n, int aligned, T* y) {                        \
    withOther<Add, T>(a, b, n, aligned, y);                                                                             \
  }                                                                                                                     \
  extern "C" __global__ void flat_scale_##name(const T* x, const T* by, i64 n, int aligned, T* y) {                     \
    withNumber<Multiply, T>(x, by, n, aligned, y);                                                                      \
  }                                                                                                                     \
  extern "C" __global__ void flat_divide_##name(const T* x, const T* by, i64 n, int aligned, T* y) {                    \
    withNumber<Divide, T>(x, by, n, aligned, y);                                                                        \
  }                                                                                                                     \
  extern "C" __global__ void sum_squares_##name(const T* x, i64 n, int aligned, f32* y) {                               \
    sumSquares<T, f32>(x, n, aligned, y);                                                                               \
  }                                                                                                                     \
  extern "C" __global__ void sum_squares_parts_##name(const T* x, i64 n, int aligned, f64* parts) {                     \
    sumSquares<T, f64>(x, n, aligned, parts);                                                                           \
  }
FLOATS(ENTRY)

/** y[i] = Σ of the `count` parts of sum i, which block i adds. */
extern "C" __global__ void sum_squares_join(const f64* parts, int count, f32* y) {
  f64 sum = 0;
  for (int i = threadIdx.x; i < count; i += blockDim.x) sum += parts[(i64)blockIdx.x * count + i];
  sum = blockSum<f64>(sum);
  if (threadIdx.x == 0) y[blockIdx.x] = (f32)sum;
}

// parts[i, block] = a block's part of Σ x² of the i-th array of those that a launch takes, i is the block's y.
#define THIRTY(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11) M(12) M(13) M(14) M(15) M(16) M(17)   \
  M(18) M(19) M(20) M(21) M(22) M(23) M(24) M(25) M(26) M(27) M(28) M(29)
#define PLACE(i) const void* x##i,
#define COUNT(i) i64 n##i,
#define CHOOSE(i)         \
  if (blockIdx.y == i) {  \
    x = x##i;             \
    n = n##i;             \
  }
#define EACH(name, T)                                                                                                 \
  extern "C" __global__ void sum_squares_each_##name(THIRTY(PLACE) THIRTY(COUNT) f64* parts) {                        \
    const void* x = nullptr;                                                                                          \
    i64 n = 0;                                                                                                        \
    THIRTY(CHOOSE)                                                                                                    \
    sumSquares<T, f64>((const T*)x, n, (unsigned long long)x % 16 == 0, parts + (i64)blockIdx.y * gridDim.x);         \
  }
FLOATS(EACH)
