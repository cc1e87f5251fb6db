/* Micro-kernels: a register tile of C, for every height and width and every way A may lie. */
#ifndef FT_GEMM_TILE_H
#define FT_GEMM_TILE_H
#include "pairs.h"

#if MR == 14
#define EACH_ROW(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11) F(12) F(13)
#elif MR == 12
#define EACH_ROW(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11)
#elif MR == 6
#define EACH_ROW(F) F(0) F(1) F(2) F(3) F(4) F(5)
#else
#define EACH_ROW(F) F(0) F(1) F(2) F(3) F(4)
#endif

/* Products of bf16 (`dot`) run in the same tile: a word is then a pair along K and a multiply-add adds both its products. */
FT_INLINE vf broadcast(const int dot, const float *p) {
  if (!dot) return splat(*p);
  uint32_t word;
  memcpy(&word, p, 4);
  return (vf)(word - (vu){0});
}
FT_INLINE vf multiply_add(const int dot, vf a, vf b, vf c) {
#if defined(__AVX512BF16__)
  if (dot) return (vf)_mm512_dpbf16_ps((__m512)c, (__m512bh)a, (__m512bh)b);
#elif defined(FT_EMULATE_DOT)
  if (dot) {
    vu high = 0xffff0000 - (vu){0};
    c = vfma((vf)((vu)a & high), (vf)((vu)b & high), c);
    return vfma((vf)((vu)a << 16), (vf)((vu)b << 16), c);
  }
#endif
  (void)dot;
  return vfma(a, b, c);
}

/* c[mr][nv vectors] = alpha * sum_k a[k][mr] * b[k][nv vectors] (+ c). mr and nv are constants where this is inlined, so
 * rows from mr on vanish. `ar` and `ak` are A's distances along rows and K. Rows are addressed from every third one:
 * base, base + ar and base + 2 ar are plain x86 addresses.
 *
 * WASM engines address with one index and a constant. V8 keeps the order of loads, but orders sums by the stores after the
 * loop, the last one first: rows step in that order, or all broadcasts are live at once and spill, at half the speed. */
#if defined(__wasm__)
#define ROW_GROUP MR
#define EACH_STEP(F) F(4) F(3) F(2) F(1) F(0)
#define KEEP_ORDER __asm__ volatile("" ::: "memory");
#else
#define ROW_GROUP 3
#define EACH_STEP EACH_ROW
#define KEEP_ORDER
#endif
#define BASES ((MR + ROW_GROUP - 1) / ROW_GROUP)
#define ROW_DECLARE(i) vf x##i = {0}, y##i = {0};
#define ROW_FETCH(i)                                                                                                   \
  if (i < mr) {                                                                                                        \
    __builtin_prefetch(c + i * ldc, 1);                                                                                \
    if (nv > 1) __builtin_prefetch(c + i * ldc + NR - 1, 1);                                                           \
  }
#define ROW_STEP(i)                                                                                                    \
  if (i < mr) {                                                                                                        \
    KEEP_ORDER                                                                                                         \
    vf s = broadcast(dot, base[i / ROW_GROUP] + (i % ROW_GROUP) * ar);                                                                         \
    PIN(s);                                                                                                            \
    x##i = multiply_add(dot, s, b0, x##i);                                                                                    \
    if (nv > 1) y##i = multiply_add(dot, s, b1, y##i);                                                                         \
  }
#define ROW_STORE(i)                                                                                                   \
  if (i < mr) {                                                                                                        \
    float *d = c + i * ldc;                                                                                            \
    x##i *= scale;                                                                                                     \
    if (add) x##i += load(d);                                                                                          \
    store(d, x##i);                                                                                                    \
    if (nv > 1) {                                                                                                      \
      y##i *= scale;                                                                                                   \
      if (add) y##i += load(d + VL);                                                                                   \
      store(d + VL, y##i);                                                                                             \
    }                                                                                                                  \
  }
FT_INLINE void tile(const int dot, const int mr, const int nv, int64_t k, const float *a, int64_t ar, int64_t ak, const float *b,
                    int64_t bk, float *c, int64_t ldc, float alpha, int add) {
  const float *base[BASES];
  for (int i = 0; i < BASES; i++) base[i] = a + ROW_GROUP * i * ar;
  EACH_ROW(ROW_DECLARE)
  EACH_ROW(ROW_FETCH)
  for (; k > 0; k--, b += bk) {
    vf b0 = load(b), b1 = b0;
    PIN(b0);
    if (nv > 1) {
      b1 = load(b + VL);
      PIN(b1);
    }
    EACH_STEP(ROW_STEP)
    for (int i = 0; i < BASES; i++) base[i] += ak;
  }
#if defined(__x86_64__) || defined(__aarch64__)
  __asm__("" : "+r"(c), "+r"(ldc)); /* the addresses of the prefetch shall not occupy registers through the loop */
#endif
  vf scale = splat(alpha);
  EACH_ROW(ROW_STORE)
}

typedef void tile_fn(int64_t k, const float *a, int64_t ar, int64_t ak, const float *b, int64_t bk, float *c, int64_t ldc,
                     float alpha, int add);
#define DEFINE_TILE(name, dot, i, nv, row, step)                                                                           \
  static void name##i(int64_t k, const float *a, int64_t ar, int64_t ak, const float *b, int64_t bk, float *c,         \
                      int64_t ldc, float alpha, int add) {                                                             \
    (void)ar, (void)ak;                                                                                                \
    tile(dot, i + 1, nv, k, a, row, step, b, bk, c, ldc, alpha, add);                                                       \
  }
#define DEFINE_TILES(i)                                                                                                \
  DEFINE_TILE(packed1_, 0, i, 1, 1, i + 1)                                                                                \
  DEFINE_TILE(packed2_, 0, i, 2, 1, i + 1)                                                                                \
  DEFINE_TILE(rows1_, 0, i, 1, ar, 1)                                                                                     \
  DEFINE_TILE(rows2_, 0, i, 2, ar, 1)                                                                                     \
  DEFINE_TILE(cols1_, 0, i, 1, 1, ak)                                                                                     \
  DEFINE_TILE(cols2_, 0, i, 2, 1, ak)
EACH_ROW(DEFINE_TILES)
#define NAME_PACKED1(i) packed1_##i,
#define NAME_PACKED2(i) packed2_##i,
#define NAME_ROWS1(i) rows1_##i,
#define NAME_ROWS2(i) rows2_##i,
#define NAME_COLS1(i) cols1_##i,
#define NAME_COLS2(i) cols2_##i,
enum { PACKED, ROWS, COLS, PAIRS };
#ifdef FT_DOT
#define DEFINE_PAIR_TILES(i) DEFINE_TILE(pairs1_, 1, i, 1, 1, i + 1) DEFINE_TILE(pairs2_, 1, i, 2, 1, i + 1)
EACH_ROW(DEFINE_PAIR_TILES)
#define NAME_PAIRS1(i) pairs1_##i,
#define NAME_PAIRS2(i) pairs2_##i,
#endif
static tile_fn *const tiles[4][2][MR] = {
    {{EACH_ROW(NAME_PACKED1)}, {EACH_ROW(NAME_PACKED2)}},
    {{EACH_ROW(NAME_ROWS1)}, {EACH_ROW(NAME_ROWS2)}},
    {{EACH_ROW(NAME_COLS1)}, {EACH_ROW(NAME_COLS2)}},
#ifdef FT_DOT
    {{EACH_ROW(NAME_PAIRS1)}, {EACH_ROW(NAME_PAIRS2)}},
#endif
};

#endif
