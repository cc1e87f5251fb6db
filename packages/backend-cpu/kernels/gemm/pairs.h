/* Packing for products of bf16: a word of a panel is two neighbours along K, rounded to bf16, the first in the lower half.
 * An odd last one is paired with zero. Lines and runs as in pack.h. */
#ifndef FT_GEMM_PAIRS_H
#define FT_GEMM_PAIRS_H
#include "pack.h"

#if defined(__AVX512BF16__) || defined(FT_EMULATE_DOT)
#define FT_DOT
#endif

#ifdef FT_DOT

typedef uint32_t word __attribute__((may_alias)); /* in panels declared as f32 */

/* FT_EMULATE_DOT does in plain C what AVX-512-BF16 does in an instruction, so that the way there can be tested on any
 * machine. No library for use is built so. */
#if defined(__AVX512BF16__)
FT_INLINE vu pair_words(vf low, vf high) {
  __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low); /* 16 of low, then 16 of high */
  const __m512i zip = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5,
                                       20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return (vu)_mm512_permutexvar_epi16(zip, both);
}
/* 2 VL values in a row */
FT_INLINE void store_pairs(word *d, vf first, vf second) {
  _mm512_storeu_si512(d, (__m512i)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first));
}
#else
FT_INLINE vu pair_words(vf low, vf high) {
  vu words;
  for (int i = 0; i < VL; i++) words[i] = to_bf16(low[i]) | (uint32_t)to_bf16(high[i]) << 16;
  return words;
}
FT_INLINE void store_pairs(word *d, vf first, vf second) {
  float x[2 * VL];
  store(x, first), store(x + VL, second);
  for (int i = 0; i < VL; i++) d[i] = to_bf16(x[2 * i]) | (uint32_t)to_bf16(x[2 * i + 1]) << 16;
}
#endif

/* k values of a row, as ceil(k / 2) words */
FT_INLINE void line_pairs_as(const int storage, const stored *m, int64_t row, int64_t column, int64_t k, word *d) {
  if (storage == STORED_BF16) {
    if (k & 1) d[k / 2] = 0;
    memcpy(d, (const uint16_t *)m->p + row * m->ld + column, (size_t)k * 2);
    return;
  }
  int64_t j = 0;
  for (; j + 2 * VL <= k; j += 2 * VL)
    store_pairs(d + j / 2, fetch(storage, m, row, column + j), fetch(storage, m, row, column + j + VL));
  for (; j < k; j += 2) {
    float second = j + 1 < k ? stored_at(storage, m, row, column + j + 1) : 0;
    d[j / 2] = to_bf16(stored_at(storage, m, row, column + j)) | (uint32_t)to_bf16(second) << 16;
  }
}
FT_INLINE void lines_pairs_as(const int storage, const stored *m, int64_t row, int64_t column, int64_t w, int64_t k,
                              word *d) {
  for (int64_t i = 0; i < w; i++) line_pairs_as(storage, m, row + i, column, k, d + i * ((k + 1) / 2));
}

/* w columns of k rows, two rows at a time */
FT_INLINE void runs_pairs_as(const int storage, const stored *m, int64_t row, int64_t column, int64_t w, int64_t k, float *d,
                             int64_t stride) {
  for (int64_t j = 0; j < k; j += 2, d += stride) {
    int64_t i = 0;
    for (; i < w; i += VL) {
      int64_t n = FT_MIN(VL, w - i);
      vf low = n == VL ? fetch(storage, m, row + j, column + i) : fetch_n(storage, m, row + j, column + i, n), high = {0};
      if (j + 1 < k)
        high = n == VL ? fetch(storage, m, row + j + 1, column + i) : fetch_n(storage, m, row + j + 1, column + i, n);
      store_n(d + i, (vf)pair_words(low, high), n);
    }
  }
}

/* a panel of words, d[ceil(k / 2)][stride] */
static void pack_pairs(const operand *m, int64_t i0, int64_t w, int64_t k0, int64_t k, float *d, int64_t stride) {
  stored plain = {m->p, m->k == 1 && m->outer != 1 ? m->outer : m->k, STORED_F32, 0, 0};
  const stored *from = m->w ? m->w : &plain;
  int64_t words = (k + 1) / 2;
  if (m->outer == 1) {
    FOR_STORAGE(from, runs_pairs_as, from, k0, i0, w, k, d, stride)
  } else {
    float lines[NR * GEMM_KC];
    lines[0] = 0; /* there is always a line, but compilers cannot know */
    FOR_STORAGE(from, lines_pairs_as, from, i0, k0, w, k, (word *)lines)
    pack_lines(lines, words, w, words, d, stride);
  }
  if (w < stride)
    for (int64_t j = 0; j < words; j++) memset(d + j * stride + w, 0, (size_t)(stride - w) * 4);
}

#endif
#endif
