/* C = alpha * op(A) . op(B) + beta * C.
 *
 * Goto's method (Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008) as BLIS arranges it:
 * operands are copied into panels, a register tile of MR rows by two vectors runs over them. Departures:
 *   - rows are cut into tiles of nearly equal height, with a micro-kernel for each height: no waste at the lower edge;
 *   - threads share no packed panel: a cache line that travels between cores costs more than packing it twice;
 *   - an operand that would be read only once or a few times after packing is read where it lies.
 * An element of C is the same chain of multiply-adds over the same blocks of K whatever tile, region or thread makes it;
 * blocks of K depend on K alone. So no thread count, and none of the choices above, changes a bit.
 *
 * Products of bf16 differ in packing and in the multiply-add only. Few rows are bound by memory and stay in f32.
 */
#include "region.h"
#include "thin.h"

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
  g->words = ceil_div(g->K, 1 + g->pairs);
  g->blocks = FT_MAX(1, ceil_div(g->words, GEMM_KC));
  g->height = MR;
#ifdef FT_MATRIX
  g->matrix = g->pairs && ft_matrix;
  if (g->matrix) g->height = MATRIX_ROWS;
#endif
  g->tiles = ceil_div(g->M, g->height);
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
  g.A = transA ? (operand){A, 1, lda, 0} : (operand){A, lda, 1, 0};
  g.B = transB ? (operand){B, ldb, 1, 0} : (operand){B, 1, ldb, 0};
  run_product(&g);
}

#ifdef FT_DOT
#define HAS_PAIRS 1
#else
#define HAS_PAIRS 0
#endif

static int can_multiply(const stored *w, int products) {
  if (w->storage < 0 || w->storage >= STORED_KINDS || products < 0 || products > HAS_PAIRS) return 0;
  return !is_4bit(w->storage) || (w->block >= 16 && !(w->block & (w->block - 1)));
}

/* with a weight as it is stored, and with products of f32 (0) or bf16 (1); returns what ft_gemm does */
static int gemm_stored(int64_t M, int64_t N, int64_t K, const float *A, int64_t lda, int transA, const stored *w, int transB,
                       float *C, int64_t ldc, float alpha, int beta, int products) {
  if (!can_multiply(w, products)) return -2;
  const float *plain = w->storage == STORED_F32 ? w->p : 0;
  float *column = 0;
  if (!plain && transB && w->ld == 1) { /* a vector: as f32 it would not be read as rows either */
    if (!(plain = column = ft_alloc((uint64_t)(N + 1) * 4))) return -1;
    for (int64_t i = 0; i < N; i++) unpack(w, i, 0, 1, column + i);
  }
  product g = {.M = M, .N = N, .K = K, .C = C, .ldc = ldc, .alpha = alpha, .beta = beta, .pairs = products};
  const stored *packed = plain ? 0 : w;
  g.A = transA ? (operand){A, 1, lda, 0} : (operand){A, lda, 1, 0};
  g.B = transB ? (operand){plain, w->ld, 1, packed} : (operand){plain, 1, w->ld, packed};
  run_product(&g);
  ft_release(column);
  return 0;
}

void K(ft_gemm_f32)(int64_t M, int64_t N, int64_t K, const float *A, int64_t lda, int transA, const float *B, int64_t ldb,
                    int transB, float *C, int64_t ldc, float alpha, int beta) {
  gemm_call(M, N, K, A, lda, transA, B, ldb, transB, C, ldc, alpha, beta);
}

int K(ft_gemm)(int64_t M, int64_t N, int64_t K, const float *A, int64_t lda, int transA, const void *B, int storage,
               const float *scales, int64_t block, int64_t ldb, int transB, float *C, int64_t ldc, float alpha, int beta,
               int products) {
  stored w = {B, ldb, storage, scales, block};
  return gemm_stored(M, N, K, A, lda, transA, &w, transB, C, ldc, alpha, beta, products);
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
