/* C = alpha * op(A) . op(B) + beta * C.
 *
 * Goto's method (Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008) as BLIS arranges it:
 * operands are copied into panels, a register tile of MR rows by two vectors runs over them. Departures:
 *   - rows are cut into tiles of nearly equal height, with a micro-kernel for each height: no waste at the lower edge;
 *   - threads share no packed panel: a cache line that travels between cores costs more than packing it twice;
 *   - an operand that would be read only once or a few times after packing is read where it lies.
 * An element of C is the same chain of multiply-adds over the same blocks of K whatever tile, region or thread makes it;
 * blocks of K depend on K alone. So no thread count, and none of the choices above, changes a bit.
 */
#if VL == 16
#define MR 14 /* 28 sums + 2 vectors of B + 1 broadcast, of 32 registers */
#else
#define MR 6 /* 12 + 2 + 1 of 16 */
#endif
#define NR (2 * VL)
#ifndef GEMM_KC
#define GEMM_KC 320 /* longest block of K: a panel of B fits the first-level cache */
#endif
#ifndef GEMM_A_BYTES
#define GEMM_A_BYTES (240 << 10) /* packed rows of A: second-level cache */
#endif
#ifndef GEMM_B_BYTES
#define GEMM_B_BYTES (2 << 20) /* packed columns of B: last-level cache */
#endif
#define GEMM_DIRECT_TILES 3 /* up to so many row tiles B is read in place */
#define GEMM_THIN 8         /* up to so many rows: kernels without packing */

typedef struct {
  const float *p;
  int64_t outer, k; /* distance between neighbours along M or N, and along K */
} operand;

typedef struct {
  int64_t M, N, K;
  operand A, B;
  float *C;
  int64_t ldc;
  float alpha;
  int beta;
  int64_t blocks, tiles, panels, across_m, across_n; /* K-blocks, row tiles, column panels, grid of regions */
} product;

/* the start of part i when n things are cut into `parts` nearly equal parts */
FT_INLINE int64_t cut(int64_t n, int64_t parts, int64_t i) { return n / parts * i + FT_MIN(i, n % parts); }
FT_INLINE int64_t ceil_div(int64_t n, int64_t d) { return (n + d - 1) / d; }

/* ---- micro-kernels ---- */

#if MR == 14
#define EACH_ROW(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11) F(12) F(13)
#else
#define EACH_ROW(F) F(0) F(1) F(2) F(3) F(4) F(5)
#endif

/* c[mr][nv vectors] = alpha * sum_k a[k][mr] * b[k][nv vectors] (+ c). mr and nv are constants where this is inlined, so
 * rows from mr on vanish. `ar` and `ak` are A's distances along rows and K. Rows are addressed from every third one:
 * base, base + ar and base + 2 ar are plain x86 addresses. */
#define ROW_DECLARE(i) vf x##i = {0}, y##i = {0};
#define ROW_FETCH(i)                                                                                                   \
  if (i < mr) {                                                                                                        \
    __builtin_prefetch(c + i * ldc, 1);                                                                                \
    if (nv > 1) __builtin_prefetch(c + i * ldc + NR - 1, 1);                                                           \
  }
#define ROW_STEP(i)                                                                                                    \
  if (i < mr) {                                                                                                        \
    vf s = splat(base[i / 3][(i % 3) * ar]);                                                                           \
    PIN(s);                                                                                                            \
    x##i = vfma(s, b0, x##i);                                                                                          \
    if (nv > 1) y##i = vfma(s, b1, y##i);                                                                              \
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
FT_INLINE void tile(const int mr, const int nv, int64_t k, const float *a, int64_t ar, int64_t ak, const float *b,
                    int64_t bk, float *c, int64_t ldc, float alpha, int add) {
  const float *base[(MR + 2) / 3];
  for (int i = 0; i < (MR + 2) / 3; i++) base[i] = a + 3 * i * ar;
  EACH_ROW(ROW_DECLARE)
  EACH_ROW(ROW_FETCH)
  for (; k > 0; k--, b += bk) {
    vf b0 = load(b), b1 = b0;
    PIN(b0);
    if (nv > 1) {
      b1 = load(b + VL);
      PIN(b1);
    }
    EACH_ROW(ROW_STEP)
    for (int i = 0; i < (MR + 2) / 3; i++) base[i] += ak;
  }
#if defined(__x86_64__) || defined(__aarch64__)
  __asm__("" : "+r"(c), "+r"(ldc)); /* the addresses of the prefetch shall not occupy registers through the loop */
#endif
  vf scale = splat(alpha);
  EACH_ROW(ROW_STORE)
}

typedef void tile_fn(int64_t k, const float *a, int64_t ar, int64_t ak, const float *b, int64_t bk, float *c, int64_t ldc,
                     float alpha, int add);
#define DEFINE_TILE(name, i, nv, row, step)                                                                            \
  static void name##i(int64_t k, const float *a, int64_t ar, int64_t ak, const float *b, int64_t bk, float *c,         \
                      int64_t ldc, float alpha, int add) {                                                             \
    (void)ar, (void)ak;                                                                                                \
    tile(i + 1, nv, k, a, row, step, b, bk, c, ldc, alpha, add);                                                       \
  }
#define DEFINE_TILES(i)                                                                                                \
  DEFINE_TILE(packed1_, i, 1, 1, i + 1)                                                                                \
  DEFINE_TILE(packed2_, i, 2, 1, i + 1)                                                                                \
  DEFINE_TILE(rows1_, i, 1, ar, 1)                                                                                     \
  DEFINE_TILE(rows2_, i, 2, ar, 1)                                                                                     \
  DEFINE_TILE(cols1_, i, 1, 1, ak)                                                                                     \
  DEFINE_TILE(cols2_, i, 2, 1, ak)
EACH_ROW(DEFINE_TILES)
#define NAME_PACKED1(i) packed1_##i,
#define NAME_PACKED2(i) packed2_##i,
#define NAME_ROWS1(i) rows1_##i,
#define NAME_ROWS2(i) rows2_##i,
#define NAME_COLS1(i) cols1_##i,
#define NAME_COLS2(i) cols2_##i,
enum { PACKED, ROWS, COLS };
static tile_fn *const tiles[3][2][MR] = {{{EACH_ROW(NAME_PACKED1)}, {EACH_ROW(NAME_PACKED2)}},
                                         {{EACH_ROW(NAME_ROWS1)}, {EACH_ROW(NAME_ROWS2)}},
                                         {{EACH_ROW(NAME_COLS1)}, {EACH_ROW(NAME_COLS2)}}};

/* ---- packing: a panel is d[k][stride], w <= stride of it from the operand ---- */

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

FT_INLINE void pack(const operand *m, int64_t i0, int64_t w, int64_t k0, int64_t k, float *d, int64_t stride) {
  if (m->k == 1 && m->outer != 1) pack_lines(m->p + i0 * m->outer + k0, m->outer, w, k, d, stride);
  else if (m->outer == 1) pack_runs(m->p + i0 + k0 * m->k, m->k, w, k, d, stride);
  if (w < stride)
    for (int64_t j = 0; j < k; j++)
      for (int64_t i = w; i < stride; i++) d[j * stride + i] = 0;
}

/* ---- the general product ---- */

typedef struct {
  tile_fn *const *narrow, *const *wide;
  const float *a;
  int64_t ar, ak;
} rows_source;

static void edge_tile(const product *g, tile_fn *f, int64_t k, const float *a, int64_t ar, int64_t ak, const float *b,
                      int64_t bk, float *c, int64_t mr, int64_t w, int add) {
  float buffer[MR * NR];
  for (int64_t i = 0; i < mr; i++)
    for (int64_t j = 0; j < NR; j++) buffer[i * NR + j] = add && j < w ? c[i * g->ldc + j] : 0;
  f(k, a, ar, ak, b, bk, buffer, NR, g->alpha, add);
  for (int64_t i = 0; i < mr; i++) memcpy(c + i * g->ldc, buffer + i * NR, (size_t)w * 4);
}

/* row tiles t0..t1 times column panels p0..p1, all of K */
static void region(const product *g, int64_t t0, int64_t t1, int64_t p0, int64_t p1) {
  int64_t longest = ceil_div(g->K, g->blocks);
  int64_t block_panels = FT_MAX(1, GEMM_B_BYTES / (longest * NR * 4 + 1));
  int64_t chunk_tiles = FT_MAX(1, GEMM_A_BYTES / (longest * MR * 4 + 1));
  int64_t column_blocks = ceil_div(p1 - p0, block_panels), chunks = ceil_div(t1 - t0, chunk_tiles);
  int a_in_place = p1 - p0 == 1 && (g->A.k == 1 || g->A.outer == 1);
  int b_in_place = g->B.outer == 1 && t1 - t0 <= GEMM_DIRECT_TILES;
  int family = !a_in_place ? PACKED : g->A.k == 1 ? ROWS : COLS;
  float *a_pack = a_in_place ? 0 : ft_scratch(FT_SLOT_PACK_A, (size_t)(ceil_div(t1 - t0, chunks) * MR * longest + 64) * 4);
  float *b_pack = ft_scratch(FT_SLOT_PACK_B, (size_t)(ceil_div(p1 - p0, column_blocks) * NR * longest + 64) * 4);

  for (int64_t cb = 0; cb < column_blocks; cb++) {
    int64_t j0 = p0 + cut(p1 - p0, column_blocks, cb), j1 = p0 + cut(p1 - p0, column_blocks, cb + 1);
    for (int64_t q = 0; q < g->blocks; q++) {
      int64_t k0 = cut(g->K, g->blocks, q), k = cut(g->K, g->blocks, q + 1) - k0;
      int add = q > 0 || g->beta;
      for (int64_t j = j0; j < j1; j++) {
        int64_t w = FT_MIN(NR, g->N - j * NR);
        if (!b_in_place || w % VL) pack(&g->B, j * NR, w, k0, k, b_pack + (j - j0) * NR * k, NR);
      }
      for (int64_t chunk = 0; chunk < chunks; chunk++) {
        int64_t i0 = t0 + cut(t1 - t0, chunks, chunk), i1 = t0 + cut(t1 - t0, chunks, chunk + 1);
        int64_t first = cut(g->M, g->tiles, i0);
        if (!a_in_place)
          for (int64_t i = i0; i < i1; i++) {
            int64_t r = cut(g->M, g->tiles, i), mr = cut(g->M, g->tiles, i + 1) - r;
            pack(&g->A, r, mr, k0, k, a_pack + (r - first) * k, mr);
          }
        for (int64_t j = j0; j < j1; j++) {
          int64_t w = FT_MIN(NR, g->N - j * NR), bk = NR;
          const float *b = b_pack + (j - j0) * NR * k;
          if (b_in_place && w % VL == 0) b = g->B.p + k0 * g->B.k + j * NR, bk = g->B.k;
          for (int64_t i = i0; i < i1; i++) {
            int64_t r = cut(g->M, g->tiles, i), mr = cut(g->M, g->tiles, i + 1) - r;
            const float *a = a_in_place ? g->A.p + r * g->A.outer + k0 * g->A.k : a_pack + (r - first) * k;
            tile_fn *f = tiles[family][w > VL][mr - 1];
            float *c = g->C + r * g->ldc + j * NR;
            if (w % VL == 0) f(k, a, g->A.outer, g->A.k, b, bk, c, g->ldc, g->alpha, add);
            else edge_tile(g, f, k, a, g->A.outer, g->A.k, b, bk, c, mr, w, add);
          }
        }
      }
    }
  }
}

static void region_task(void *arg, int64_t i) {
  const product *g = arg;
  int64_t m = i / g->across_n, n = i % g->across_n;
  region(g, cut(g->tiles, g->across_m, m), cut(g->tiles, g->across_m, m + 1), cut(g->panels, g->across_n, n),
         cut(g->panels, g->across_n, n + 1));
}

/* The grid of regions with the least work for the busiest thread; packing counts: A is packed once in every column of the
 * grid, B once in every row. 20 is the price of packing an element in multiply-adds, divided by the usual K over K. */
static void choose_grid(product *g, int threads) {
  double best = 1e300;
  g->across_m = g->across_n = 1;
  for (int used = threads, found = 0; used > 0 && !found; used--)
    for (int m = 1; m <= used; m++) {
      int n = used / m;
      if (m * n != used || m > g->tiles || n > g->panels) continue;
      double rows = (double)ceil_div(g->tiles, m) * MR, columns = (double)ceil_div(g->panels, n) * NR;
      double cost = rows * columns + 20 * (rows + columns);
      if (cost < best) best = cost, g->across_m = m, g->across_n = n;
      found = 1;
    }
}

/* ---- few rows: memory-bound, nothing is packed ---- */

#define THIN_COLUMNS 64  /* of C in one task where B's rows are dotted */
#define THIN_STRIP 512   /* of C in one task where B's rows are added up */

/* mr rows of A against four rows of B (n of them real), K along memory in both */
FT_INLINE void dots(const product *g, const int mr, int64_t r, int64_t c, int64_t n) {
  const float *a = g->A.p + r * g->A.outer, *b[4];
  vf sum[3][4] = {{{0}}};
  for (int j = 0; j < 4; j++) b[j] = g->B.p + (c + FT_MIN(j, n - 1)) * g->B.outer;
  int64_t k = 0;
  for (; k + VL <= g->K; k += VL) {
    vf x[4];
    for (int j = 0; j < 4; j++) x[j] = load(b[j] + k);
    for (int i = 0; i < mr; i++) {
      vf s = load(a + i * g->A.outer + k);
      for (int j = 0; j < 4; j++) sum[i][j] = vfma(s, x[j], sum[i][j]);
    }
  }
  if (k < g->K)
    for (int i = 0; i < mr; i++)
      for (int j = 0; j < 4; j++)
        sum[i][j] = vfma(load_n(a + i * g->A.outer + k, g->K - k), load_n(b[j] + k, g->K - k), sum[i][j]);
  for (int i = 0; i < mr; i++)
    for (int j = 0; j < n; j++) {
      float *d = g->C + (r + i) * g->ldc + c + j, y = g->alpha * hsum(sum[i][j]);
      *d = g->beta ? y + *d : y;
    }
}

static void dots_task(void *arg, int64_t task) {
  const product *g = arg;
  int64_t end = FT_MIN(g->N, (task + 1) * THIN_COLUMNS);
  for (int64_t c = task * THIN_COLUMNS; c < end; c += 4) {
    int64_t n = FT_MIN(4, end - c), r = 0;
    for (; r + 3 <= g->M; r += 3) dots(g, 3, r, c, n);
    if (g->M - r == 2) dots(g, 2, r, c, n);
    if (g->M - r == 1) dots(g, 1, r, c, n);
  }
}

/* C's strip += a[k] * row k of B, four rows at a time */
static void strip_task(void *arg, int64_t task) {
  const product *g = arg;
  int64_t c0 = task * THIN_STRIP, n = FT_MIN(THIN_STRIP, g->N - c0);
  float sum[GEMM_THIN][THIN_STRIP];
  for (int64_t i = 0; i < g->M; i++) memset(sum[i], 0, (size_t)n * 4);
  for (int64_t k = 0; k < g->K; k += 4) {
    int64_t some = FT_MIN(4, g->K - k);
    const float *b[4];
    for (int u = 0; u < 4; u++) b[u] = g->B.p + (k + FT_MIN(u, some - 1)) * g->B.k + c0;
    for (int64_t i = 0; i < g->M; i++) {
      const float *a = g->A.p + i * g->A.outer;
      if (some < 4) {
        for (int64_t u = 0; u < some; u++) {
          vf s = splat(a[(k + u) * g->A.k]);
          for (int64_t c = 0; c < n; c += VL) store_n(sum[i] + c, vfma(s, load_n(b[u] + c, n - c), load_n(sum[i] + c, n - c)), n - c);
        }
        continue;
      }
      vf s0 = splat(a[k * g->A.k]), s1 = splat(a[(k + 1) * g->A.k]);
      vf s2 = splat(a[(k + 2) * g->A.k]), s3 = splat(a[(k + 3) * g->A.k]);
      for (int64_t c = 0; c < n; c += VL) {
        int64_t m = n - c;
        vf x = vfma(s0, load_n(b[0] + c, m), load_n(sum[i] + c, m));
        x = vfma(s1, load_n(b[1] + c, m), x);
        x = vfma(s2, load_n(b[2] + c, m), x);
        store_n(sum[i] + c, vfma(s3, load_n(b[3] + c, m), x), m);
      }
    }
  }
  for (int64_t i = 0; i < g->M; i++) {
    float *d = g->C + i * g->ldc + c0;
    for (int64_t c = 0; c < n; c++) d[c] = g->beta ? g->alpha * sum[i][c] + d[c] : g->alpha * sum[i][c];
  }
}

/* ---- entry points ---- */

static void run_product(product *g) {
  if (g->M <= 0 || g->N <= 0) return;
  if (g->M <= GEMM_THIN && g->A.k == 1 && g->B.k == 1 && g->B.outer != 1) {
    ft_parallel(ceil_div(g->N, THIN_COLUMNS), dots_task, g);
    return;
  }
  if (g->M <= GEMM_THIN / 2 && g->B.outer == 1) {
    ft_parallel(ceil_div(g->N, THIN_STRIP), strip_task, g);
    return;
  }
  g->blocks = FT_MAX(1, ceil_div(g->K, GEMM_KC));
  g->tiles = ceil_div(g->M, MR);
  g->panels = ceil_div(g->N, NR);
  int threads = ft_threads_active();
  /* below some ten microseconds of work waking another thread costs more than it saves */
  if ((double)g->M * (double)g->N * (double)g->K < 5e5) threads = 1;
  choose_grid(g, threads);
  ft_parallel(g->across_m * g->across_n, region_task, g);
}

static void gemm_call(int64_t M, int64_t N, int64_t K, const float *A, int64_t lda, int transA, const float *B, int64_t ldb,
                      int transB, float *C, int64_t ldc, float alpha, int beta) {
  product g = {.M = M, .N = N, .K = K, .C = C, .ldc = ldc, .alpha = alpha, .beta = beta};
  g.A = transA ? (operand){A, 1, lda} : (operand){A, lda, 1};
  g.B = transB ? (operand){B, ldb, 1} : (operand){B, 1, ldb};
  run_product(&g);
}

void K(ft_gemm_f32)(int64_t M, int64_t N, int64_t K, const float *A, int64_t lda, int transA, const float *B, int64_t ldb,
                    int transB, float *C, int64_t ldc, float alpha, int beta) {
  gemm_call(M, N, K, A, lda, transA, B, ldb, transB, C, ldc, alpha, beta);
}

typedef struct {
  int64_t M, N, K;
  const float *A, *B;
  float *C;
  int64_t lda, ldb, ldc, strideA, strideB, strideC;
  int transA, transB, beta;
  float alpha;
} batch;

static void batch_task(void *arg, int64_t i) {
  const batch *g = arg;
  gemm_call(g->M, g->N, g->K, g->A + i * g->strideA, g->lda, g->transA, g->B + i * g->strideB, g->ldb, g->transB,
            g->C + i * g->strideC, g->ldc, g->alpha, g->beta);
}

void K(ft_gemm_batched_f32)(int64_t count, int64_t M, int64_t N, int64_t K, const float *A, int64_t lda, int transA,
                            int64_t strideA, const float *B, int64_t ldb, int transB, int64_t strideB, float *C, int64_t ldc,
                            int64_t strideC, float alpha, int beta) {
  batch g = {M, N, K, A, B, C, lda, ldb, ldc, strideA, strideB, strideC, transA, transB, beta, alpha};
  /* enough products: one task each; few: every product on all threads. The bytes are the same. */
  if (count >= ft_threads_active()) ft_parallel(count, batch_task, &g);
  else
    for (int64_t i = 0; i < count; i++) batch_task(&g, i);
}
