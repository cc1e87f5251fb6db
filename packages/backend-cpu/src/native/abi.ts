/*
 * The C kernels as the loader declares them. kernels/ft.h documents each; a test holds both against each other. `null`
 * stands where C takes a null pointer. Sizes are in elements. Nothing here checks bounds: callers know their shapes.
 */
type F32 = Float32Array;
type I32 = Int32Array;
type U16 = Uint16Array;

/** Elements as they lie in memory: f32; bf16 or f16 in 16-bit words; int8; NF4 or FP4, two codes in a byte. */
export type Stored = F32 | U16 | Int8Array | Uint8Array;
/** How they lie: 0 f32, 1 bf16, 2 f16, 3 int8 with a scale for each row, 4 NF4 and 5 FP4 with a scale for each block. */
export type Storage = 0 | 1 | 2 | 3 | 4 | 5;
/** What values can be read from and rounded to: f32, bf16, f16. */
export type Floats = F32 | U16;
export type FloatStorage = 0 | 1 | 2;

export interface NativeKernels {
  gemm_f32(
    ...args: [
      m: number,
      n: number,
      k: number,
      a: F32,
      lda: number,
      transA: 0 | 1,
      b: F32,
      ldb: number,
      transB: 0 | 1,
      c: F32,
      ldc: number,
      alpha: number,
      beta: 0 | 1,
    ]
  ): void;
  /** 0; -1 without memory; -2 for products the processor or the level in use does not have */
  gemm(
    ...args: [
      m: number,
      n: number,
      k: number,
      a: F32,
      lda: number,
      transA: 0 | 1,
      b: Stored,
      storage: Storage,
      scales: F32 | null,
      block: number,
      ldb: number,
      transB: 0 | 1,
      c: F32,
      ldc: number,
      alpha: number,
      beta: 0 | 1,
      products: 0 | 1,
    ]
  ): number;
  gemm_batched_f32(
    ...args: [
      batch: number,
      m: number,
      n: number,
      k: number,
      a: F32,
      lda: number,
      transA: 0 | 1,
      strideA: number,
      b: F32,
      ldb: number,
      transB: 0 | 1,
      strideB: number,
      c: F32,
      ldc: number,
      strideC: number,
      alpha: number,
      beta: 0 | 1,
    ]
  ): void;
  add_f32(a: F32, b: F32, out: F32, n: number): void;
  axpy_f32(alpha: number, x: F32, y: F32, n: number): void;
  scale_f32(alpha: number, x: F32, out: F32, n: number): void;
  /** kind: 0 add, 1 sub, 2 mul, 3 div, 4 min, 5 max */
  binary_f32(kind: number, a: F32, b: F32, out: F32, n: number): void;
  binary_scalar_f32(kind: number, a: F32, b: number, out: F32, n: number): void;
  cast_bf16_f32(x: U16, out: F32, n: number): void;
  cast_f32_bf16(x: F32, out: U16, n: number): void;
  cast_f16_f32(x: U16, out: F32, n: number): void;
  cast_f32_f16(x: F32, out: U16, n: number): void;
  swiglu_fwd(gate: F32, up: F32, n: number, y: F32): void;
  swiglu_bwd(gate: F32, up: F32, dy: F32, n: number, dgate: F32, dup: F32): void;
  philox_uniform(seed: number, stream: number, step: number, n: number, out: F32): void;
  dropout(x: F32, rate: number, seed: number, stream: number, step: number, n: number, out: F32): void;
  rmsnorm_fwd(x: F32, w: F32, eps: number, rows: number, h: number, y: F32, rstd: F32): void;
  rmsnorm_bwd(x: F32, w: F32, rstd: F32, dy: F32, rows: number, h: number, dx: F32 | null, dw: F32 | null): void;
  rope(x: F32, positions: I32, invFreq: F32, tokens: number, heads: number, d: number, sign: 1 | -1, out: F32): void;
  /** -1, or the first i whose id is out of range */
  embedding(
    ...args: [
      table: Stored,
      storage: Storage,
      scales: F32 | null,
      block: number,
      vocab: number,
      ids: I32,
      n: number,
      h: number,
      out: F32,
    ]
  ): number;
  /** -1; the first i whose id is out of range; -2 without memory */
  embedding_bwd(
    ...args: [
      dy: F32,
      ids: I32,
      n: number,
      h: number,
      vocab: number,
      dtable: Floats,
      storage: FloatStorage,
      beta: 0 | 1,
    ]
  ): number;
  attention_fwd(
    ...args: [
      q: F32,
      k: F32,
      v: F32,
      segments: I32 | null,
      b: number,
      s: number,
      h: number,
      hk: number,
      d: number,
      scale: number,
      y: F32,
      lse: F32,
    ]
  ): void;
  attention_bwd(
    ...args: [
      q: F32,
      k: F32,
      v: F32,
      segments: I32 | null,
      y: F32,
      lse: F32,
      dy: F32,
      b: number,
      s: number,
      h: number,
      hk: number,
      d: number,
      scale: number,
      dq: F32,
      dk: F32,
      dv: F32,
    ]
  ): void;
  attention_cached(
    ...args: [
      q: F32,
      k: F32,
      v: F32,
      start: I32,
      b: number,
      sq: number,
      capacity: number,
      h: number,
      hk: number,
      d: number,
      scale: number,
      y: F32,
    ]
  ): void;
  /** 0; -1 without memory; -2 when a target is outside the vocabulary; -3 for what `gemm` refuses */
  cross_entropy(
    ...args: [
      x: F32,
      w: Stored,
      storage: Storage,
      scales: F32 | null,
      block: number,
      products: 0 | 1,
      targets: I32,
      rows: number,
      h: number,
      vocab: number,
      chunk: number,
      loss: Float64Array,
      count: Float64Array,
      dx: F32 | null,
      dw: F32 | null,
    ]
  ): number;
  /** 0; -2 for a kind or block that there is not */
  quantize_4bit(
    ...args: [x: Floats, storage: FloatStorage, n: number, kind: 4 | 5, block: number, codes: Uint8Array, absmax: F32]
  ): number;
  /** 0; -2 for a kind or block that there is not */
  dequantize_4bit(
    ...args: [codes: Uint8Array, kind: 4 | 5, absmax: F32, block: number, n: number, out: Floats, storage: FloatStorage]
  ): number;
  quantize_8bit(
    ...args: [x: F32, n: number, map: F32, block: number, sameSign: 0 | 1, codes: Uint8Array, absmax: F32]
  ): void;
  dequantize_8bit(
    ...args: [codes: Uint8Array, n: number, map: F32, absmax: F32, block: number, offset: F32 | null, out: F32]
  ): void;
  /** order: 0 the decay first, 1 last (bitsandbytes), 2 in the gradient */
  adam(
    ...args: [
      param: F32,
      grad: F32,
      m: F32,
      v: F32,
      n: number,
      lr: number,
      beta1: number,
      beta2: number,
      eps: number,
      weightDecay: number,
      correction1: number,
      correction2: number,
      order: 0 | 1 | 2,
    ]
  ): void;
  lion(
    ...args: [param: F32, grad: F32, m: F32, n: number, lr: number, beta1: number, beta2: number, weightDecay: number]
  ): void;
  rmsprop(
    ...args: [
      param: F32,
      grad: F32,
      v: F32,
      mean: F32 | null,
      buf: F32 | null,
      n: number,
      lr: number,
      alpha: number,
      eps: number,
      weightDecay: number,
      momentum: number,
      meanOnly: 0 | 1,
    ]
  ): void;
  sgd(
    ...args: [
      param: F32,
      grad: F32,
      buf: F32 | null,
      n: number,
      lr: number,
      momentum: number,
      dampening: number,
      nesterov: 0 | 1,
      weightDecay: number,
      first: 0 | 1,
    ]
  ): void;
  sumsq_f64(x: F32, n: number): number;
  isfinite(x: F32, n: number): number;
}

/** C declarations by name, without the `ft_` prefix. Parameter names are C's. */
export const prototypes: Readonly<Record<keyof NativeKernels, string>> = {
  gemm_f32:
    "void ft_gemm_f32(int64_t M, int64_t N, int64_t K, const float *A, int64_t lda, int transA, const float *B, int64_t ldb, int transB, float *C, int64_t ldc, float alpha, int beta)",
  gemm: "int ft_gemm(int64_t M, int64_t N, int64_t K, const float *A, int64_t lda, int transA, const void *B, int storage, const float *scales, int64_t block, int64_t ldb, int transB, float *C, int64_t ldc, float alpha, int beta, int products)",
  gemm_batched_f32:
    "void ft_gemm_batched_f32(int64_t batch, int64_t M, int64_t N, int64_t K, const float *A, int64_t lda, int transA, int64_t strideA, const float *B, int64_t ldb, int transB, int64_t strideB, float *C, int64_t ldc, int64_t strideC, float alpha, int beta)",
  add_f32: "void ft_add_f32(const float *a, const float *b, float *out, int64_t n)",
  axpy_f32: "void ft_axpy_f32(float alpha, const float *x, float *y, int64_t n)",
  scale_f32: "void ft_scale_f32(float alpha, const float *x, float *out, int64_t n)",
  binary_f32: "void ft_binary_f32(int kind, const float *a, const float *b, float *out, int64_t n)",
  binary_scalar_f32: "void ft_binary_scalar_f32(int kind, const float *a, float b, float *out, int64_t n)",
  cast_bf16_f32: "void ft_cast_bf16_f32(const uint16_t *x, float *out, int64_t n)",
  cast_f32_bf16: "void ft_cast_f32_bf16(const float *x, uint16_t *out, int64_t n)",
  cast_f16_f32: "void ft_cast_f16_f32(const uint16_t *x, float *out, int64_t n)",
  cast_f32_f16: "void ft_cast_f32_f16(const float *x, uint16_t *out, int64_t n)",
  swiglu_fwd: "void ft_swiglu_fwd(const float *gate, const float *up, int64_t n, float *y)",
  swiglu_bwd:
    "void ft_swiglu_bwd(const float *gate, const float *up, const float *dy, int64_t n, float *dgate, float *dup)",
  philox_uniform: "void ft_philox_uniform(uint32_t seed, uint32_t stream, uint32_t step, int64_t n, float *out)",
  dropout:
    "void ft_dropout(const float *x, double rate, uint32_t seed, uint32_t stream, uint32_t step, int64_t n, float *out)",
  rmsnorm_fwd:
    "void ft_rmsnorm_fwd(const float *x, const float *w, float eps, int64_t rows, int64_t h, float *y, float *rstd)",
  rmsnorm_bwd:
    "void ft_rmsnorm_bwd(const float *x, const float *w, const float *rstd, const float *dy, int64_t rows, int64_t h, float *dx, float *dw)",
  rope: "void ft_rope(const float *x, const int32_t *positions, const float *inv_freq, int64_t tokens, int64_t heads, int64_t d, float sign, float *out)",
  embedding:
    "int64_t ft_embedding(const void *table, int storage, const float *scales, int64_t block, int64_t vocab, const int32_t *ids, int64_t n, int64_t h, float *out)",
  embedding_bwd:
    "int64_t ft_embedding_bwd(const float *dy, const int32_t *ids, int64_t n, int64_t h, int64_t vocab, void *dtable, int storage, int beta)",
  attention_fwd:
    "void ft_attention_fwd(const float *q, const float *k, const float *v, const int32_t *segments, int64_t b, int64_t s, int64_t h, int64_t hk, int64_t d, float scale, float *y, float *lse)",
  attention_bwd:
    "void ft_attention_bwd(const float *q, const float *k, const float *v, const int32_t *segments, const float *y, const float *lse, const float *dy, int64_t b, int64_t s, int64_t h, int64_t hk, int64_t d, float scale, float *dq, float *dk, float *dv)",
  attention_cached:
    "void ft_attention_cached(const float *q, const float *k, const float *v, const int32_t *start, int64_t b, int64_t sq, int64_t T, int64_t h, int64_t hk, int64_t d, float scale, float *y)",
  cross_entropy:
    "int ft_cross_entropy(const float *x, const void *w, int storage, const float *scales, int64_t block, int products, const int32_t *targets, int64_t rows, int64_t h, int64_t vocab, int64_t chunk, double *loss, double *count, float *dx, float *dw)",
  quantize_4bit:
    "int ft_quantize_4bit(const void *x, int storage, int64_t n, int kind, int64_t block, uint8_t *codes, float *absmax)",
  dequantize_4bit:
    "int ft_dequantize_4bit(const uint8_t *codes, int kind, const float *absmax, int64_t block, int64_t n, void *out, int storage)",
  quantize_8bit:
    "void ft_quantize_8bit(const float *x, int64_t n, const float *map, int64_t block, int same_sign, uint8_t *codes, float *absmax)",
  dequantize_8bit:
    "void ft_dequantize_8bit(const uint8_t *codes, int64_t n, const float *map, const float *absmax, int64_t block, const float *offset, float *out)",
  adam: "void ft_adam(float *param, const float *grad, float *m, float *v, int64_t n, double lr, double beta1, double beta2, double eps, double wd, double correction1, double correction2, int order)",
  lion: "void ft_lion(float *param, const float *grad, float *m, int64_t n, double lr, double beta1, double beta2, double wd)",
  rmsprop:
    "void ft_rmsprop(float *param, const float *grad, float *v, float *mean, float *buf, int64_t n, double lr, double alpha, double eps, double wd, double momentum, int mean_only)",
  sgd: "void ft_sgd(float *param, const float *grad, float *buf, int64_t n, double lr, double momentum, double dampening, int nesterov, double wd, int first)",
  sumsq_f64: "double ft_sumsq_f64(const float *x, int64_t n)",
  isfinite: "int ft_isfinite(const float *x, int64_t n)",
};
