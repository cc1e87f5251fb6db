// Inverted dropout: x / (1 − rate) where the element's random number is at least `rate`, else 0. Numbers are counted, not
// kept: word i mod 4 of Philox4x32-10 at counter (i div 4, 0, step, 0), so that the backward draws the same ones. Reads x
// and writes y once. The step lies on the card: a recorded launch draws anew when it has changed.
#include "chunk.cuh"
#include "philox.cuh"

/** threshold: the least whole number that is at least rate·2^24. y may be x. */
template <class T>
__device__ __forceinline__ void dropout(const T* x, const int* step, u32 seed, u32 stream, u32 threshold, f32 scale, i64 n,
                                        int aligned, T* y) {
  const int N = 16 / sizeof(T);
  const i64 i = globalThread() * N;
  if (i >= n) return;
  u32 word[N];
#pragma unroll
  for (int k = 0; k < N; k += 4) {
    const uint4 drawn = philox4x32((u32)((i + k) / 4), 0, (u32)*step, 0, seed, stream);
    word[k] = drawn.x;
    word[k + 1] = drawn.y;
    word[k + 2] = drawn.z;
    word[k + 3] = drawn.w;
  }
  const auto kept = [&](int k, f32 value) { return (word[k] >> 8) >= threshold ? value * scale : 0.0f; };
  if (aligned && i + N <= n) {
    Chunk<N, T> c;
    c.load(x + i);
#pragma unroll
    for (int k = 0; k < N; k++) c.set(k, kept(k, c[k]));
    c.store(y + i);
  } else {
#pragma unroll
    for (int k = 0; k < N; k++)
      if (i + k < n) y[i + k] = narrow<T>(kept(k, widen(x[i + k])));
  }
}

#define ENTRY(name, T)                                                                                                  \
  extern "C" __global__ void dropout_##name(const T* x, const int* step, int seed, int stream, int threshold,           \
                                            float scale, i64 n, int aligned, T* y) {                                    \
    dropout<T>(x, step, (u32)seed, (u32)stream, (u32)threshold, scale, n, aligned, y);                                  \
  }
FLOATS(ENTRY)
