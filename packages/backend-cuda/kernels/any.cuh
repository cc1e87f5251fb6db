// Values of any dtype, read and written by the number of the dtype, for the primitives: what they compute in is f64 for f64,
// f32 for the other floats, and int for integers.
#pragma once
#include "common.cuh"

enum DType { F64, F32, BF16, F16, I32, I8, U8, BOOL };

template <class W> __device__ __forceinline__ W loadAs(const void* p, int dtype, i64 i) {
  switch (dtype) {
    case F64: return (W)((const f64*)p)[i];
    case F32: return (W)((const f32*)p)[i];
    case BF16: return (W)widen(((const bf16*)p)[i]);
    case F16: return (W)widen(((const f16*)p)[i]);
    case I32: return (W)((const int*)p)[i];
    case I8: return (W)((const signed char*)p)[i];
    default: return (W)((const u8*)p)[i];
  }
}
template <class W> __device__ __forceinline__ void storeAs(void* p, int dtype, i64 i, W x) {
  switch (dtype) {
    case F64: ((f64*)p)[i] = (f64)x; break;
    case F32: ((f32*)p)[i] = (f32)x; break;
    case BF16: ((bf16*)p)[i] = narrow<bf16>((f32)x); break;
    case F16: ((f16*)p)[i] = narrow<f16>((f32)x); break;
    case I32: ((int*)p)[i] = (int)x; break;
    case I8: ((signed char*)p)[i] = (signed char)(int)x; break;
    case U8: ((u8*)p)[i] = (u8)(int)x; break;
    default: ((u8*)p)[i] = x != (W)0 ? 1 : 0;
  }
}

// Six sizes, or six strides in elements, outermost first.
#define SIX(p) i64 p##0, i64 p##1, i64 p##2, i64 p##3, i64 p##4, i64 p##5
struct Six { i64 v[6]; };
#define GATHERED(p) Six p = {{p##0, p##1, p##2, p##3, p##4, p##5}}

/** Where element i of a dense index space lies in an operand with these strides. */
__device__ __forceinline__ i64 placeOf(i64 i, const Six& sizes, const Six& strides) {
  i64 at = 0;
#pragma unroll
  for (int axis = 5; axis >= 0; axis--) {
    const i64 size = sizes.v[axis];
    if (size > 1) {
      // most places end here without a division: those of the outermost axis, and of a dense space, which is one axis
      if (i < size) return at + i * strides.v[axis];
      // a division of 64 bits costs several of 32
      const i64 rest = (i | size) >> 32 ? i / size : (i64)((u32)i / (u32)size);
      at += (i - rest * size) * strides.v[axis];
      i = rest;
    }
  }
  return at;
}
