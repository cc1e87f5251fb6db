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
 *   int  ft_select(int level)   0 portable or NEON, 1 AVX2 + FMA, 2 AVX-512, 3 the same with products of
 *                               bf16, 4 those on the matrix unit (AMX), -1 the best; returns the level now in use
 *   int  ft_level(void)         the level in use
 *   const char *ft_abi(void)    names the declarations below; a loader of others must not call them
 */

/* C[M,N] = alpha * op(A) . op(B) + beta * C with beta 0 or 1. op(A) is [M,K]: stored so, or as [K,M] when transA;
 * op(B) is [K,N]: stored so, or as [N,K] when transB. ld* is the distance between stored rows. C overlaps nothing.
 * With beta 0 the old C is never read. Sums run over blocks of K that depend on K alone. */
FT_KERNEL(void, ft_gemm_f32,
          (int64_t M, int64_t N, int64_t K, const float *A, int64_t lda, int transA, const float *B, int64_t ldb, int transB,
           float *C, int64_t ldc, float alpha, int beta),
          (M, N, K, A, lda, transA, B, ldb, transB, C, ldc, alpha, beta))

/* The same with B as weights are stored: `storage` 0 f32, 1 bf16, 2 f16, 3 int8 with scales[row of the
 * stored matrix], 4 NF4 and 5 FP4: two codes in a byte, the first in the upper half, with scales[flat index / block], block
 * a power of two and at least 16, and no gap between rows (scales and block are not read otherwise). A stored [N,K] with transB is a layer's forward,
 * the same matrix without it its input gradient. Unpacked on the way; the result is that of ft_gemm_f32 on the unpacked
 * matrix, bit for bit. `products` 1 rounds both factors to bf16 and sums their products in f32, in the order of
 * vdpbf16ps, at the level that has this instruction and nowhere else; products of at most 8 rows stay in f32. Returns 0; -1 without memory; -2, and nothing is written, for a storage, block or kind of product
 * that there is not. */
FT_KERNEL(int, ft_gemm,
          (int64_t M, int64_t N, int64_t K, const float *A, int64_t lda, int transA, const void *B, int storage,
           const float *scales, int64_t block, int64_t ldb, int transB, float *C, int64_t ldc, float alpha, int beta,
           int products),
          (M, N, K, A, lda, transA, B, storage, scales, block, ldb, transB, C, ldc, alpha, beta, products))

/* `batch` products of one shape; strides in elements from one matrix to the next (0 repeats an operand). */
FT_KERNEL(void, ft_gemm_batched_f32,
          (int64_t batch, int64_t M, int64_t N, int64_t K, const float *A, int64_t lda, int transA, int64_t strideA,
           const float *B, int64_t ldb, int transB, int64_t strideB, float *C, int64_t ldc, int64_t strideC, float alpha,
           int beta),
          (batch, M, N, K, A, lda, transA, strideA, B, ldb, transB, strideB, C, ldc, strideC, alpha, beta))

/* ---- elementwise; outputs may alias inputs of the same length ---- */

/* out = a + b */
FT_KERNEL(void, ft_add_f32, (const float *a, const float *b, float *out, int64_t n), (a, b, out, n))

/* y += alpha * x */
FT_KERNEL(void, ft_axpy_f32, (float alpha, const float *x, float *y, int64_t n), (alpha, x, y, n))

/* out = alpha * x */
FT_KERNEL(void, ft_scale_f32, (float alpha, const float *x, float *out, int64_t n), (alpha, x, out, n))

/* out = a (kind) b; kind 0 add, 1 sub, 2 mul, 3 div, 4 min, 5 max (min and max keep NaN) */
FT_KERNEL(void, ft_binary_f32, (int kind, const float *a, const float *b, float *out, int64_t n), (kind, a, b, out, n))

/* out = a (kind) immediate */
FT_KERNEL(void, ft_binary_scalar_f32, (int kind, const float *a, float b, float *out, int64_t n), (kind, a, b, out, n))

/* Conversions; narrowing rounds to nearest even, a NaN stays a (quiet) NaN. */
FT_KERNEL(void, ft_cast_bf16_f32, (const uint16_t *x, float *out, int64_t n), (x, out, n))
FT_KERNEL(void, ft_cast_f32_bf16, (const float *x, uint16_t *out, int64_t n), (x, out, n))
FT_KERNEL(void, ft_cast_f16_f32, (const uint16_t *x, float *out, int64_t n), (x, out, n))
FT_KERNEL(void, ft_cast_f32_f16, (const float *x, uint16_t *out, int64_t n), (x, out, n))

/* y = gate * sigmoid(gate) * up; its exponential is within 2 ulp */
FT_KERNEL(void, ft_swiglu_fwd, (const float *gate, const float *up, int64_t n, float *y), (gate, up, n, y))

/* dgate, dup from dy; they may alias gate, up or dy */
FT_KERNEL(void, ft_swiglu_bwd,
          (const float *gate, const float *up, const float *dy, int64_t n, float *dgate, float *dup),
          (gate, up, dy, n, dgate, dup))

/* ---- randomness ---- */

/* out[i] uniform in [0,1) on 24 bits: word i mod 4 of Philox4x32-10 (Salmon et al. 2011) at counter (i div 4, 0, step, 0),
 * key (seed, stream) */
FT_KERNEL(void, ft_philox_uniform, (uint32_t seed, uint32_t stream, uint32_t step, int64_t n, float *out),
          (seed, stream, step, n, out))

/* out[i] = x[i] / (1 - rate) where rate <= u[i], else 0; u as above. The same call on a gradient is its backward. */
FT_KERNEL(void, ft_dropout,
          (const float *x, double rate, uint32_t seed, uint32_t stream, uint32_t step, int64_t n, float *out),
          (x, rate, seed, stream, step, n, out))

/* ---- rows ---- */

/* y[r,:] = x[r,:] * rstd[r] * w, rstd = 1/sqrt(mean(x^2) + eps). y may alias x. */
FT_KERNEL(void, ft_rmsnorm_fwd, (const float *x, const float *w, float eps, int64_t rows, int64_t h, float *y, float *rstd),
          (x, w, eps, rows, h, y, rstd))

/* dx[rows,h] and dw[h], each written whole, each may be null. dx may alias dy or x when dw is null. */
FT_KERNEL(void, ft_rmsnorm_bwd,
          (const float *x, const float *w, const float *rstd, const float *dy, int64_t rows, int64_t h, float *dx, float *dw),
          (x, w, rstd, dy, rows, h, dx, dw))

/* Rotary embedding of x[tokens,heads,d] in halves (element i with i + d/2), angle = positions[token] * inv_freq[i] in
 * f32. sign 1 rotates, -1 rotates back (the gradient). out may alias x. */
FT_KERNEL(void, ft_rope,
          (const float *x, const int32_t *positions, const float *inv_freq, int64_t tokens, int64_t heads, int64_t d,
           float sign, float *out),
          (x, positions, inv_freq, tokens, heads, d, sign, out))

/* out[i,:] = table[ids[i],:], the table stored as in ft_gemm. Returns -1, or the first i whose id is outside [0, vocab), and then writes nothing. */
FT_KERNEL(int64_t, ft_embedding,
          (const void *table, int storage, const float *scales, int64_t block, int64_t vocab, const int32_t *ids, int64_t n,
           int64_t h, float *out),
          (table, storage, scales, block, vocab, ids, n, h, out))

/* dtable[vocab,h] (+)= sum of dy[i,:] over ids[i], in order of i; negative ids are skipped. dtable is stored as f32, bf16 or
 * f16 (0, 1, 2 as in ft_gemm): sums are f32 and rounded once onto it. beta 0 writes all of it, beta 1 adds and touches the
 * rows of ids only. Returns -1; the first i whose id is >= vocab, or -2 for another storage and without memory, and then
 * writes nothing. */
FT_KERNEL(int64_t, ft_embedding_bwd,
          (const float *dy, const int32_t *ids, int64_t n, int64_t h, int64_t vocab, void *dtable, int storage, int beta),
          (dy, ids, n, h, vocab, dtable, storage, beta))

/* ---- attention: q, y [b,s,h,d]; k, v [b,s,hk,d]; h a multiple of hk ---- */

/* Token i sees token j when j <= i and both have the same segment (segments[b,s]; null: one segment). lse[b,h,s] is the
 * natural log of the sum of exponentials. Blocked: no s x s matrix exists. */
FT_KERNEL(void, ft_attention_fwd,
          (const float *q, const float *k, const float *v, const int32_t *segments, int64_t b, int64_t s, int64_t h,
           int64_t hk, int64_t d, float scale, float *y, float *lse),
          (q, k, v, segments, b, s, h, hk, d, scale, y, lse))

/* dq, dk, dv are written whole; y and lse are those of the forward pass. */
FT_KERNEL(void, ft_attention_bwd,
          (const float *q, const float *k, const float *v, const int32_t *segments, const float *y, const float *lse,
           const float *dy, int64_t b, int64_t s, int64_t h, int64_t hk, int64_t d, float scale, float *dq, float *dk,
           float *dv),
          (q, k, v, segments, y, lse, dy, b, s, h, hk, d, scale, dq, dk, dv))

/* Against a cache: q, y [b,sq,h,d]; k, v [b,T,hk,d]; start [b]. Query i of batch item r stands at position start[r] + i and
 * sees keys 0..start[r]+i; start[r] + sq <= T. */
FT_KERNEL(void, ft_attention_cached,
          (const float *q, const float *k, const float *v, const int32_t *start, int64_t b, int64_t sq, int64_t T, int64_t h,
           int64_t hk, int64_t d, float scale, float *y),
          (q, k, v, start, b, sq, T, h, hk, d, scale, y))

/* ---- loss ---- */

/* Head and cross-entropy in one: over rows with targets[i] >= 0, *loss = sum of logsumexp(w x_i) - (w x_i)[targets[i]] in
 * f64 and row order, *count = how many. x [rows,h], w [vocab,h], stored as in ft_gemm. Logits exist for `chunk` rows at a time (allocated for
 * the call). Gradients of the sum, each may be null: dx [rows,h] written whole (0 in rows without target), dw [vocab,h]
 * added to. Returns 0; -1 without memory; -2 if a target is >= vocab and -3 for what ft_gemm refuses (nothing is written
 * then). */
FT_KERNEL(int, ft_cross_entropy,
          (const float *x, const void *w, int storage, const float *scales, int64_t block, int products,
           const int32_t *targets, int64_t rows, int64_t h, int64_t vocab, int64_t chunk, double *loss, double *count,
           float *dx, float *dw),
          (x, w, storage, scales, block, products, targets, rows, h, vocab, chunk, loss, count, dx, dw))

/* ---- values quantised by blocks: the bytes of bitsandbytes' CUDA kernels, whose division is approximate ---- */

/* Every `block` neighbours of x (the last block may be shorter): absmax = max |x|, codes of x * (1 / absmax), two in a
 * byte, the first in the upper half; behind an odd n that of 0. Subnormal x count as 0. x stored as f32, bf16 or f16
 * (0, 1, 2), kind 4 NF4 or 5 FP4, block a power of two from 16 to 4096. Returns 0; -2, and nothing is written, for anything
 * else. */
FT_KERNEL(int, ft_quantize_4bit,
          (const void *x, int storage, int64_t n, int kind, int64_t block, uint8_t *codes, float *absmax),
          (x, storage, n, kind, block, codes, absmax))

/* out = value of the code * absmax, in f32, rounded to `storage`; arguments and result as above */
FT_KERNEL(int, ft_dequantize_4bit,
          (const uint8_t *codes, int kind, const float *absmax, int64_t block, int64_t n, void *out, int storage),
          (codes, kind, absmax, block, n, out, storage))

/* The same with a byte for each value: codes number the nearest of 256 ascending values, the even one of two as near. With
 * same_sign a code whose value has another sign than x is moved by one, up for a normal x > 0 and down otherwise, as
 * bitsandbytes' optimizers do. Any block of at least 1. */
FT_KERNEL(void, ft_quantize_8bit,
          (const float *x, int64_t n, const float *map, int64_t block, int same_sign, uint8_t *codes, float *absmax),
          (x, n, map, block, same_sign, codes, absmax))

/* out = map[code] * absmax (+ offset[0], where it is not null) */
FT_KERNEL(void, ft_dequantize_8bit,
          (const uint8_t *codes, int64_t n, const float *map, const float *absmax, int64_t block, const float *offset,
           float *out),
          (codes, n, map, absmax, block, offset, out))

/* ---- optimizers: in place, the formulas of torch.optim in f32 ---- */

/* m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; param -= lr / correction1 * m / (sqrt(v) / sqrt(correction2) + eps).
 * order 0: param *= 1 - lr wd first (AdamW); 1: last, and where g is not finite param stays and m and v become 0
 * (bitsandbytes); 2: g = grad + wd param (Adam) */
FT_KERNEL(void, ft_adam,
          (float *param, const float *grad, float *m, float *v, int64_t n, double lr, double beta1, double beta2, double eps,
           double wd, double correction1, double correction2, int order),
          (param, grad, m, v, n, lr, beta1, beta2, eps, wd, correction1, correction2, order))

/* param = param (1 - lr wd) - lr sign(beta1 m + (1 - beta1) grad); m = beta2 m + (1 - beta2) grad */
FT_KERNEL(void, ft_lion,
          (float *param, const float *grad, float *m, int64_t n, double lr, double beta1, double beta2, double wd),
          (param, grad, m, n, lr, beta1, beta2, wd))

/* g = grad + wd param; v = alpha v + (1 - alpha) g^2; with mean: mean = alpha mean + (1 - alpha) g, and v - mean^2 for v
 * below; d = g / (sqrt(v) + eps), or grad / ... with mean_only; with buf: buf = momentum buf + d, d = buf; param -= lr d */
FT_KERNEL(void, ft_rmsprop,
          (float *param, const float *grad, float *v, float *mean, float *buf, int64_t n, double lr, double alpha,
           double eps, double wd, double momentum, int mean_only),
          (param, grad, v, mean, buf, n, lr, alpha, eps, wd, momentum, mean_only))

/* g = grad + wd param; with buf: buf = first ? g : momentum buf + (1 - dampening) g, g = nesterov ? g + momentum buf : buf;
 * param -= lr g */
FT_KERNEL(void, ft_sgd,
          (float *param, const float *grad, float *buf, int64_t n, double lr, double momentum, double dampening,
           int nesterov, double wd, int first),
          (param, grad, buf, n, lr, momentum, dampening, nesterov, wd, first))

/* sum of squares in f64, in a fixed order; not finite when an element is not */
FT_KERNEL(double, ft_sumsq_f64, (const float *x, int64_t n), (x, n))

/* 1 when every element is finite */
FT_KERNEL(int, ft_isfinite, (const float *x, int64_t n), (x, n))
