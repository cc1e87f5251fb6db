// Rotary position embedding: (x_i, x_{i+d/2}) turned by position·frequency_i, with sign −1 back again.
//   y_i = x_i·cos − x_{i+d/2}·sin;  y_{i+d/2} = x_{i+d/2}·cos + x_i·sin
// Reads x and writes y once. A block has some tokens: it computes their sines and cosines, d/2 a token, into shared memory
// for all heads. The angle is rounded to f32, as other implementations do that models were trained with.
#include "chunk.cuh"

/** y may be x: a pair is read and written by one thread. */
template <int N, class T>
__device__ __forceinline__ void rope(const T* x, const int* __restrict__ positions, const f32* __restrict__ frequencies,
                                     i64 tokens, int heads, int d, int each, float sign, T* y) {
  extern __shared__ f32 table[];
  const int half = d / 2, chunks = half / N;
  const i64 first = (i64)blockIdx.x * each;
  const int here = tokens - first < each ? (int)(tokens - first) : each;
  f32 *cosines = table, *sines = table + each * half;
  for (int i = threadIdx.x; i < here * half; i += blockDim.x) {
    f32 s, c;
    sincosf((f32)positions[first + i / half] * frequencies[i % half], &s, &c);
    cosines[i] = c;
    sines[i] = s * sign;
  }
  __syncthreads();
  const int perToken = heads * chunks;
  for (int i = threadIdx.x; i < here * perToken; i += blockDim.x) {
    const int token = i / perToken, in = i - token * perToken, head = in / chunks, k = (in - head * chunks) * N;
    const i64 at = ((first + token) * heads + head) * d + k;
    Chunk<N, T> a, b;
    a.load(x + at);
    b.load(x + at + half);
    const f32 *cosine = cosines + token * half + k, *sine = sines + token * half + k;
#pragma unroll
    for (int j = 0; j < N; j++) {
      const f32 c = cosine[j], s = sine[j], p = a[j], q = b[j];
      a.set(j, p * c - q * s);
      b.set(j, q * c + p * s);
    }
    a.store(y + at);
    b.store(y + at + half);
  }
}

#define ENTRY(name, T)                                                                                                  \
  extern "C" __global__ void rope_##name(const T* x, const int* positions, const f32* frequencies, i64 tokens,          \
                                         int heads, int d, int each, float sign, int aligned, T* y) {                   \
    if (aligned) rope<16 / sizeof(T), T>(x, positions, frequencies, tokens, heads, d, each, sign, y);                   \
    else rope<1, T>(x, positions, frequencies, tokens, heads, d, each, sign, y);                                        \
  }
FLOATS(ENTRY)
