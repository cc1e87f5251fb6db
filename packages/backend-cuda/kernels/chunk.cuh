// N neighbours of an array, moved at most 16 bytes at a time. Kernels are compiled for 16 bytes of a dtype and for single
// elements, which serve arrays that do not begin at a multiple of 16 bytes, or whose rows do not.
#pragma once
#include "common.cuh"

template <int BYTES> struct WordOf { typedef uint4 type; };
template <> struct WordOf<8> { typedef uint2 type; };
template <> struct WordOf<4> { typedef u32 type; };
template <> struct WordOf<2> { typedef unsigned short type; };

// Nothing happens to the value, but the compiler cannot know: it forgets what it has derived from it.
__device__ __forceinline__ void forget(uint4& w) { asm volatile("" : "+r"(w.x), "+r"(w.y), "+r"(w.z), "+r"(w.w)); }
__device__ __forceinline__ void forget(u32& w) { asm volatile("" : "+r"(w)); }
__device__ __forceinline__ void forget(uint2& w) { asm volatile("" : "+r"(w.x), "+r"(w.y)); }
__device__ __forceinline__ void forget(unsigned short& w) { asm volatile("" : "+h"(w)); }

template <int N, class T> struct Chunk {
  static const int bytes = N * sizeof(T);
  typedef typename WordOf<(bytes < 16 ? bytes : 16)>::type Word;
  static const int words = bytes / sizeof(Word);
  union {
    Word word[words];
    T v[N];
  };
  __device__ __forceinline__ Chunk() {}
  __device__ __forceinline__ f32 operator[](int i) const { return widen(v[i]); }
  __device__ __forceinline__ void set(int i, f32 x) { v[i] = narrow<T>(x); }
  __device__ __forceinline__ void load(const T* p) {
#pragma unroll
    for (int i = 0; i < words; i++) word[i] = reinterpret_cast<const Word*>(p)[i];
  }
  /** Registers hold it as it was read from here on, not widened as it was needed before. */
  __device__ __forceinline__ void hold() {
#pragma unroll
    for (int i = 0; i < words; i++) forget(word[i]);
  }
  __device__ __forceinline__ void store(T* p) const {
#pragma unroll
    for (int i = 0; i < words; i++) reinterpret_cast<Word*>(p)[i] = word[i];
  }
};

/** N values of an array whose dtype is known when the kernel runs: 0 is f32, 1 is bf16, 2 is f16. */
template <int N> __device__ __forceinline__ void loadAny(const void* p, int dtype, i64 at, f32 (&out)[N]) {
  if (dtype == 0) {
    Chunk<N, f32> c;
    c.load((const f32*)p + at);
#pragma unroll
    for (int i = 0; i < N; i++) out[i] = c[i];
  } else if (dtype == 1) {
    Chunk<N, bf16> c;
    c.load((const bf16*)p + at);
#pragma unroll
    for (int i = 0; i < N; i++) out[i] = c[i];
  } else {
    Chunk<N, f16> c;
    c.load((const f16*)p + at);
#pragma unroll
    for (int i = 0; i < N; i++) out[i] = c[i];
  }
}

/** The width of a chunk as a type, so that one lambda serves chunks and single elements. */
template <int N> struct Width { static const int value = N; };

/** Calls `f(width, i)` for the thread's chunk of a flat array, or for each of its elements at the end or where unaligned. */
template <int N, class F> __device__ __forceinline__ void eachChunk(i64 n, int aligned, F f) {
  const i64 i = globalThread() * N, end = i + N < n ? i + N : n;
  if (aligned && i + N <= n) f(Width<N>(), i);
  else
#pragma unroll 1
    for (i64 j = i; j < end; j++) f(Width<1>(), j);
}
