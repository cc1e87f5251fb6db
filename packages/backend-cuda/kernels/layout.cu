// Primitives that make or move values.
#include "any.cuh"
#include "philox.cuh"

extern "C" __global__ void fill_any(f64 value, void* y, int dtype, i64 n) {
  for (i64 i = globalThread(); i < n; i += globalThreads()) {
    if (dtype == F64 || dtype == BOOL) storeAs<f64>(y, dtype, i, value);
    else if (dtype >= I32) storeAs<int>(y, dtype, i, (int)value);
    else storeAs<f32>(y, dtype, i, (f32)value);
  }
}
extern "C" __global__ void iota_any(void* y, int dtype, i64 n) {
  for (i64 i = globalThread(); i < n; i += globalThreads()) {
    if (dtype == F64) storeAs<f64>(y, dtype, i, (f64)i);
    else if (dtype >= I32) storeAs<int>(y, dtype, i, (int)i);
    else storeAs<f32>(y, dtype, i, (f32)i);
  }
}

// Uniform in [0, 1) on 24 bits: word i mod 4 of the counter (i div 4, 0, step, 0) under the key (seed, stream).
extern "C" __global__ void random_f32(const int* step, int seed, int stream, i64 n, f32* y) {
  const u32 at = (u32)*step;
  for (i64 block = globalThread(); 4 * block < n; block += globalThreads()) {
    const uint4 w = philox4x32((u32)block, 0, at, 0, (u32)seed, (u32)stream);
    const u32 words[4] = {w.x, w.y, w.z, w.w};
#pragma unroll
    for (int j = 0; j < 4; j++)
      if (4 * block + j < n) y[4 * block + j] = (f32)(words[j] >> 8) * 5.9604644775390625e-8f;
  }
}

// Between any two dtypes: floats round to nearest even, integers take what is towards zero. 16 bits go through f32.
extern "C" __global__ void cast_any(const void* x, int from, void* y, int to, i64 n) {
  for (i64 i = globalThread(); i < n; i += globalThreads()) {
    if (from == F64 || to == F64) {
      const f64 v = loadAs<f64>(x, from, i);
      if (to == BF16 || to == F16) storeAs<f32>(y, to, i, (f32)v);
      else storeAs<f64>(y, to, i, v);
    } else if (from >= I32 && to >= I32) storeAs<int>(y, to, i, loadAs<int>(x, from, i));
    else if (from >= I32) storeAs<f32>(y, to, i, (f32)loadAs<int>(x, from, i));
    else storeAs<f32>(y, to, i, loadAs<f32>(x, from, i));
  }
}

// y and x are both read off one index space, each by its own strides: permute, slice, concat.
#define STRIDED(bytes, T)                                                                                          \
  extern "C" __global__ void strided_##bytes(const T* x, i64 xFrom, i64 n, SIX(size), SIX(sx), SIX(sy), T* y,     \
                                             i64 yFrom) {                                                          \
    GATHERED(size);                                                                                                \
    GATHERED(sx);                                                                                                  \
    GATHERED(sy);                                                                                                  \
    for (i64 i = globalThread(); i < n; i += globalThreads())                                                      \
      y[yFrom + placeOf(i, size, sy)] = x[xFrom + placeOf(i, size, sx)];                                           \
  }                                                                                                                \
  extern "C" __global__ void gather_##bytes(const T* table, const int* index, i64 n, i64 width, int rows, T* y) { \
    for (i64 i = globalThread(); i < n; i += globalThreads()) {                                                    \
      const i64 place = i / width;                                                                                 \
      const int row = index[place];                                                                                \
      /* what is outside cannot be told without a wait; all ones are NaN in every float dtype */                   \
      y[i] = row >= 0 && row < rows ? table[row * width + (i - place * width)] : (T)~0ull;                         \
    }                                                                                                              \
  }
STRIDED(1, u8)
STRIDED(2, unsigned short)
STRIDED(4, u32)
STRIDED(8, unsigned long long)
