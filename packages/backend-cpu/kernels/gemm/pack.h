/* Packing: a panel is d[k][stride], w <= stride of it from the operand. */
#ifndef FT_GEMM_PACK_H
#define FT_GEMM_PACK_H
#include "product.h"

#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
typedef int32_t i4 __attribute__((vector_size(16)));
#define SHUFFLE(a, b, i, j, k, l) __builtin_shuffle(a, b, (i4){i, j, k, l})
#endif

FT_INLINE void transpose_4x4(const float *r0, const float *r1, const float *r2, const float *r3, float *d, int64_t stride) {
  f4 a = *(const f4_mem *)r0, b = *(const f4_mem *)r1, c = *(const f4_mem *)r2, e = *(const f4_mem *)r3;
  f4 ab_lo = SHUFFLE(a, b, 0, 4, 1, 5), ab_hi = SHUFFLE(a, b, 2, 6, 3, 7);
  f4 ce_lo = SHUFFLE(c, e, 0, 4, 1, 5), ce_hi = SHUFFLE(c, e, 2, 6, 3, 7);
  *(f4_mem *)d = SHUFFLE(ab_lo, ce_lo, 0, 1, 4, 5);
  *(f4_mem *)(d + stride) = SHUFFLE(ab_lo, ce_lo, 2, 3, 6, 7);
  *(f4_mem *)(d + 2 * stride) = SHUFFLE(ab_hi, ce_hi, 0, 1, 4, 5);
  *(f4_mem *)(d + 3 * stride) = SHUFFLE(ab_hi, ce_hi, 2, 3, 6, 7);
}

/* K runs along memory: transpose. The last group of four lines overlaps the one before it when w is no multiple of 4. */
static void pack_lines(const float *p, int64_t ld, int64_t w, int64_t k, float *d, int64_t stride) {
  int64_t whole = w >= 4 ? k & ~(int64_t)3 : 0;
  for (int64_t g = 0; g < w && whole; g += 4) {
    int64_t i = FT_MIN(g, w - 4);
    const float *r = p + i * ld;
    for (int64_t j = 0; j < whole; j += 4)
      transpose_4x4(r + j, r + ld + j, r + 2 * ld + j, r + 3 * ld + j, d + j * stride + i, stride);
  }
  for (int64_t j = whole; j < k; j++)
    for (int64_t i = 0; i < w; i++) d[j * stride + i] = p[i * ld + j];
}

/* the panel's own direction runs along memory: copy */
static void pack_runs(const float *p, int64_t ld, int64_t w, int64_t k, float *d, int64_t stride) {
  for (int64_t j = 0; j < k; j++, p += ld, d += stride) {
    int64_t i = 0;
    for (; i + VL <= w; i += VL) store(d + i, load(p + i));
    for (; i + 4 <= w; i += 4) *(f4_mem *)(d + i) = *(const f4_mem *)(p + i);
    for (; i < w; i++) d[i] = p[i];
  }
}

/* B is unpacked on the way. Where lines must be transposed they are unpacked into the first-level cache first. */
FT_INLINE void unpack_lines_as(const int storage, const stored *m, int64_t row, int64_t column, int64_t w, int64_t k, float *d) {
  for (int64_t i = 0; i < w; i++) unpack_as(storage, m, row + i, column, k, d + i * k);
}
FT_INLINE void unpack_runs_as(const int storage, const stored *m, int64_t row, int64_t column, int64_t w, int64_t k, float *d) {
  if (w == NR) /* the usual width as a constant */
    for (int64_t j = 0; j < k; j++) unpack_as(storage, m, row + j, column, NR, d + j * NR);
  else
    for (int64_t j = 0; j < k; j++) unpack_as(storage, m, row + j, column, w, d + j * NR);
}

static void pack_stored(const operand *m, int64_t i0, int64_t w, int64_t k0, int64_t k, float *d) {
  if (m->outer == 1) {
    FOR_STORAGE(m->w, unpack_runs_as, m->w, k0, i0, w, k, d)
  } else {
    float lines[NR * GEMM_KC];
    FOR_STORAGE(m->w, unpack_lines_as, m->w, i0, k0, w, k, lines)
    pack_lines(lines, k, w, k, d, NR);
  }
}

FT_INLINE void pack(const operand *m, int64_t i0, int64_t w, int64_t k0, int64_t k, float *d, int64_t stride) {
  if (m->w) pack_stored(m, i0, w, k0, k, d);
  else if (m->k == 1 && m->outer != 1) pack_lines(m->p + i0 * m->outer + k0, m->outer, w, k, d, stride);
  else if (m->outer == 1) pack_runs(m->p + i0 + k0 * m->k, m->k, w, k, d, stride);
  if (w < stride)
    for (int64_t j = 0; j < k; j++)
      for (int64_t i = w; i < stride; i++) d[j * stride + i] = 0;
}

#endif
