// Elementwise primitives over broadcast operands. A stride of 0 repeats; `dense` says that every operand lies as the result
// does, and nothing need be looked up. One load an operand and one store an element.
#include "any.cuh"

template <class W> __device__ W lesser(W a, W b) { return a != a ? a : b != b ? b : b < a ? b : a; }
template <class W> __device__ W greater(W a, W b) { return a != a ? a : b != b ? b : b > a ? b : a; }

template <class W> __device__ W divided(W a, W b) { return a / b; }
template <> __device__ int divided<int>(int a, int b) { return b == 0 ? 0 : a / b; }

template <class W> __device__ W binaryOf(int kind, W a, W b) {
  switch (kind) {
    case 0: return a + b;
    case 1: return a - b;
    case 2: return a * b;
    case 3: return divided<W>(a, b);
    case 4: return lesser<W>(a, b);
    default: return greater<W>(a, b);
  }
}

template <class W> __device__ W unaryOf(int kind, W x) {
  switch (kind) {
    case 0: return -x;
    case 1: return fabs(x);
    case 2: return floor(x);
    case 3: return exp(x);
    case 4: return log(x);
    case 5: return sqrt(x);
    case 6: return sin(x);
    case 7: return cos(x);
    case 8: return tanh(x);
    default: return erf(x);
  }
}

#define BINARY(name, W)                                                                                                 \
  extern "C" __global__ void binary_##name(int kind, const void* a, int da, const void* b, int db, f64 number, i64 n,   \
                                           int dense, SIX(size), SIX(sa), SIX(sb), void* y, int dy) {                   \
    GATHERED(size);                                                                                                     \
    GATHERED(sa);                                                                                                       \
    GATHERED(sb);                                                                                                       \
    for (i64 i = globalThread(); i < n; i += globalThreads()) {                                                         \
      const W left = loadAs<W>(a, da, dense ? i : placeOf(i, size, sa));                                                \
      const W right = b ? loadAs<W>(b, db, dense ? i : placeOf(i, size, sb)) : (W)number;                               \
      storeAs<W>(y, dy, i, binaryOf<W>(kind, left, right));                                                             \
    }                                                                                                                   \
  }                                                                                                                     \
  extern "C" __global__ void compare_##name(int kind, const void* a, int da, const void* b, int db, f64 number, i64 n,  \
                                            int dense, SIX(size), SIX(sa), SIX(sb), u8* y) {                            \
    GATHERED(size);                                                                                                     \
    GATHERED(sa);                                                                                                       \
    GATHERED(sb);                                                                                                       \
    for (i64 i = globalThread(); i < n; i += globalThreads()) {                                                         \
      const W left = loadAs<W>(a, da, dense ? i : placeOf(i, size, sa));                                                \
      const W right = b ? loadAs<W>(b, db, dense ? i : placeOf(i, size, sb)) : (W)number;                               \
      y[i] = kind == 0 ? left < right : kind == 1 ? left <= right : left == right;                                      \
    }                                                                                                                   \
  }                                                                                                                     \
  extern "C" __global__ void where_##name(const u8* test, const void* a, const void* b, int d, f64 number, i64 n,       \
                                          SIX(size), SIX(st), SIX(sa), SIX(sb), void* y) {                              \
    GATHERED(size);                                                                                                     \
    GATHERED(st);                                                                                                       \
    GATHERED(sa);                                                                                                       \
    GATHERED(sb);                                                                                                       \
    for (i64 i = globalThread(); i < n; i += globalThreads()) {                                                         \
      const bool first = test[placeOf(i, size, st)] != 0;                                                               \
      const W left = loadAs<W>(a, d, placeOf(i, size, sa));                                                             \
      const W right = b ? loadAs<W>(b, d, placeOf(i, size, sb)) : (W)number;                                            \
      storeAs<W>(y, d, i, first ? left : right);                                                                        \
    }                                                                                                                   \
  }
BINARY(f64, f64)
BINARY(f32, f32)
BINARY(i32, int)

#define UNARY(name, W)                                                                                         \
  extern "C" __global__ void unary_##name(int kind, const void* x, void* y, int dtype, i64 n) {               \
    for (i64 i = globalThread(); i < n; i += globalThreads())                                                  \
      storeAs<W>(y, dtype, i, unaryOf<W>(kind, loadAs<W>(x, dtype, i)));                                       \
  }                                                                                                            \
  extern "C" __global__ void search_sorted_##name(const W* x, const W* bounds, int count, i64 n, int* y) {    \
    for (i64 i = globalThread(); i < n; i += globalThreads()) {                                                \
      const W value = x[i];                                                                                    \
      int low = 0, high = count;                                                                               \
      while (low < high) {                                                                                     \
        const int middle = (low + high) / 2;                                                                   \
        if (bounds[middle] < value) low = middle + 1;                                                          \
        else high = middle;                                                                                    \
      }                                                                                                        \
      y[i] = low;                                                                                              \
    }                                                                                                          \
  }
UNARY(f64, f64)
UNARY(f32, f32)
