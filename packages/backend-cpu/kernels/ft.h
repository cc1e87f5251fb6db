/* The kernels, as a list: FT_KERNEL(result, name, parameters, arguments). This file is included several times, each time
 * with another meaning of FT_KERNEL (prototypes, dispatch table, exported entry points), and is the one place where a
 * kernel is declared and documented. src/native/abi.ts repeats the declarations for the loader; a test compares both.
 *
 * Everywhere: plain row-major arrays, sizes in elements, int64 sizes. Results are the same bytes for any number of
 * threads. Instruction sets agree to rounding only. NaN and Inf propagate. Nothing checks bounds: the caller does.
 *
 * Besides these the library exports (pool.c, dispatch.c):
 *   int  ft_init(int threads)   grows the pool; threads from now on, the caller included; returns what it got
 *   int  ft_threads(void)       threads in use
 *   void ft_shutdown(void)      ends the workers and frees the caller's scratch
 *   int  ft_select(int level)   0 portable, 1 AVX2 + FMA, 2 AVX-512, -1 the best; returns the level now in use
 *   int  ft_level(void)         the level in use
 */

/* C[M,N] = alpha * op(A) . op(B) + beta * C with beta 0 or 1. op(A) is [M,K]: stored so, or as [K,M] when transA;
 * op(B) is [K,N]: stored so, or as [N,K] when transB. ld* is the distance between stored rows. C overlaps nothing.
 * With beta 0 the old C is never read. Sums run over blocks of K that depend on K alone. */
FT_KERNEL(void, ft_gemm_f32,
          (int64_t M, int64_t N, int64_t K, const float *A, int64_t lda, int transA, const float *B, int64_t ldb, int transB,
           float *C, int64_t ldc, float alpha, int beta),
          (M, N, K, A, lda, transA, B, ldb, transB, C, ldc, alpha, beta))

/* `batch` products of one shape; strides in elements from one matrix to the next (0 repeats an operand). */
FT_KERNEL(void, ft_gemm_batched_f32,
          (int64_t batch, int64_t M, int64_t N, int64_t K, const float *A, int64_t lda, int transA, int64_t strideA,
           const float *B, int64_t ldb, int transB, int64_t strideB, float *C, int64_t ldc, int64_t strideC, float alpha,
           int beta),
          (batch, M, N, K, A, lda, transA, strideA, B, ldb, transB, strideB, C, ldc, strideC, alpha, beta))
