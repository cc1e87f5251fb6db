// Codes of blocks as values again: table[code] * absmax in f32, rounded once. Half a byte or a byte in, 2 or 4 bytes out:
// a thread has several loads in flight and stores 16 bytes at a time.
#include "codes.cuh"

/** The scale of a block: f32, or a code of the 8-bit map times the scale of its own block, and an offset. */
struct Scales {
  const f32 *plain;
  const u8 *codes;
  const f32 *map, *nested, *offset;
  int nestedShift;
  __device__ __forceinline__ f32 of(i64 block) const {
    if (plain) return plain[block];
    return __fadd_rn(__fmul_rn(map[codes[block]], nested[block >> nestedShift]), *offset);
  }
};

/** 8 values of 4 bytes. The 16 words of the table lie in 16 banks: no two lanes wait for each other. */
template <class T> __device__ __forceinline__ void decode8(u32 codes, f32 scale, const f32 *value, T *out) {
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const u32 both = codes >> (8 * i) & 255;
    out[2 * i] = narrow<T>(__fmul_rn(value[both >> 4], scale));
    out[2 * i + 1] = narrow<T>(__fmul_rn(value[both & 15], scale));
  }
}

template <class T> __device__ void store8(T *to, const T *values) {
#pragma unroll
  for (int i = 0; i < 8; i += PackWidth<T>::value)
    *(uint4 *)(to + i) = *(const uint4 *)(values + i);
}

#define CHUNKS 4
/** n values; block size 2^shift. `packed`: codes and out are aligned for 4- and 16-byte accesses. */
template <class T>
__device__ void dequantize4bit(const u8 *codes, Scales scales, const f32 *values, T *out, i64 n, int shift, int packed) {
  __shared__ f32 value[16];
  if (threadIdx.x < 16) value[threadIdx.x] = values[threadIdx.x];
  __syncthreads();
  const i64 whole = packed ? n / 8 : 0, first = (i64)blockIdx.x * blockDim.x * CHUNKS + threadIdx.x;
  u32 read[CHUNKS];
  f32 scale[CHUNKS];
  // in stages, each for all chunks: what one stage reads is on its way together
#pragma unroll
  for (int c = 0; c < CHUNKS; c++) {
    const i64 i = first + (i64)c * blockDim.x;
    if (i < whole) read[c] = __ldcs((const u32 *)codes + i);
  }
  if (scales.plain) {
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
      const i64 i = first + (i64)c * blockDim.x;
      if (i < whole) scale[c] = scales.plain[i * 8 >> shift];
    }
  } else {
    const f32 offset = *scales.offset;
    int code[CHUNKS];
    f32 nested[CHUNKS];
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
      const i64 i = first + (i64)c * blockDim.x;
      if (i < whole) {
        code[c] = scales.codes[i * 8 >> shift];
        nested[c] = scales.nested[(i * 8 >> shift) >> scales.nestedShift];
      }
    }
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
      if (first + (i64)c * blockDim.x < whole) scale[c] = __fadd_rn(__fmul_rn(scales.map[code[c]], nested[c]), offset);
  }
#pragma unroll
  for (int c = 0; c < CHUNKS; c++) {
    const i64 i = first + (i64)c * blockDim.x;
    if (i < whole) {
      alignas(16) T made[8];
      decode8<T>(read[c], scale[c], value, made);
      store8<T>(out + i * 8, made);
    } else
      for (i64 j = i * 8; j < min(n, i * 8 + 8); j++) {
        const int code = j & 1 ? codes[j >> 1] & 15 : codes[j >> 1] >> 4;
        out[j] = narrow<T>(__fmul_rn(value[code], scales.of(j >> shift)));
      }
  }
}

#define ENTRY(name, T)                                                                                                  \
  extern "C" __global__ void __launch_bounds__(256) dequantize_4bit_##name(                                             \
      const u8 *codes, const f32 *absmax, const u8 *absmaxCodes, const f32 *map, const f32 *nested, const f32 *offset,  \
      int nestedShift, const f32 *values, T *out, i64 n, int shift, int packed) {                                       \
    dequantize4bit<T>(codes, Scales{absmax, absmaxCodes, map, nested, offset, nestedShift}, values, out, n, shift,      \
                      packed);                                                                                          \
  }
FLOATS(ENTRY)
#undef ENTRY

/** map[code] * absmax (+ offset), two roundings; four codes a thread. */
extern "C" __global__ void dequantize_8bit(const u8 *codes, const f32 *map, const f32 *absmax, const f32 *offset, f32 *out,
                                           i64 n, int shift, int packed) {
  __shared__ alignas(16) f32 value[256];
  stage(value, map, sizeof value);
  __syncthreads();
  const f32 more = offset ? *offset : 0.f;
  for (i64 i = globalThread() * 4; i < n; i += globalThreads() * 4) {
    const int count = (int)min((i64)4, n - i);
    alignas(4) u8 code[4] = {};
    alignas(16) f32 made[4];
    const f32 scale = absmax[i >> shift]; // blocks are multiples of four
    if (packed && count == 4) *(u32 *)code = *(const u32 *)(codes + i);
    else
#pragma unroll
      for (int j = 0; j < 4; j++)
        if (j < count) code[j] = codes[i + j];
#pragma unroll
    for (int j = 0; j < 4; j++) {
      made[j] = __fmul_rn(value[code[j]], scale);
      if (offset) made[j] = __fadd_rn(made[j], more);
    }
    if (packed && count == 4) *(float4 *)(out + i) = *(float4 *)made;
    else
#pragma unroll
      for (int j = 0; j < 4; j++)
        if (j < count) out[i + j] = made[j];
  }
}

/** Rows of i8 codes: (code * absmax of the row) * (1/127). A block has a row; `packed` when rows are aligned for 8. */
template <class T> __device__ void dequantizeRows(const signed char *codes, const f32 *absmax, T *out, int width, int packed) {
  const i64 row = blockIdx.x, from = row * width;
  const f32 scale = absmax[row], unit = (f32)(1.0 / 127);
  const int whole = packed ? width / 8 * 8 : 0;
  for (int i = threadIdx.x * 8; i < whole; i += blockDim.x * 8) {
    const Pack<signed char, 8> read = *(const Pack<signed char, 8> *)(codes + from + i);
    alignas(16) T made[8];
#pragma unroll
    for (int j = 0; j < 8; j++) made[j] = narrow<T>(__fmul_rn(__fmul_rn((f32)read.v[j], scale), unit));
    store8<T>(out + from + i, made);
  }
  for (int i = whole + threadIdx.x; i < width; i += blockDim.x)
    out[from + i] = narrow<T>(__fmul_rn(__fmul_rn((f32)codes[from + i], scale), unit));
}

#define ENTRY(name, T)                                                                                            \
  extern "C" __global__ void dequantize_rows_##name(const signed char *codes, const f32 *absmax, T *out, int width, \
                                                    int packed) {                                                 \
    dequantizeRows<T>(codes, absmax, out, width, packed);                                                         \
  }
FLOATS(ENTRY)
