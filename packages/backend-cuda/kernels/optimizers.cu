// Steps of optimizers: parameter, gradient and slots are read once, parameter and slots written once, in place where the
// caller gave the buffers up. Slots are f32; parameter and gradient are f32, bf16 or f16. lr and corrections lie on the card.
#include "optimizer-steps.cuh"

#define WIDTH 4

/** Four neighbours as f32, or fewer at the end; 0 for those that are not there. */
template <class T> __device__ __forceinline__ void load4(f32 (&to)[WIDTH], const T *from, int count, int packed) {
  if (packed && count == WIDTH) {
    const Pack<T, WIDTH> pack = *(const Pack<T, WIDTH> *)from;
#pragma unroll
    for (int i = 0; i < WIDTH; i++) to[i] = widen(pack.v[i]);
  } else
#pragma unroll
    for (int i = 0; i < WIDTH; i++) to[i] = i < count ? widen(from[i]) : 0.f;
}
template <class T> __device__ __forceinline__ void store4(T *to, const f32 (&from)[WIDTH], int count, int packed) {
  if (packed && count == WIDTH) {
    Pack<T, WIDTH> pack;
#pragma unroll
    for (int i = 0; i < WIDTH; i++) pack.v[i] = narrow<T>(from[i]);
    *(Pack<T, WIDTH> *)to = pack;
  } else
#pragma unroll
    for (int i = 0; i < WIDTH; i++)
      if (i < count) to[i] = narrow<T>(from[i]);
}

/** `by`: a factor on the gradient. `packed`: every address is a multiple of four elements. No pointer is __restrict__: results may lie where inputs do. */
template <class P, class G>
__device__ void adam(const P *param, const G *grad, const f32 *m, const f32 *v, const AdamRates &rates, P *nextParam,
                     f32 *nextM, f32 *nextV, i64 n, int packed, f32 by = 1.f) {
  const i64 at = globalThread() * WIDTH;
  if (at >= n) return;
  const int count = (int)min((i64)WIDTH, n - at);
  f32 p[WIDTH], g[WIDTH], a[WIDTH], b[WIDTH];
  load4(p, param + at, count, packed);
  load4(g, grad + at, count, packed);
  load4(a, m + at, count, packed);
  load4(b, v + at, count, packed);
#pragma unroll
  for (int i = 0; i < WIDTH; i++) adamStep(rates, p[i], __fmul_rn(g[i], by), a[i], b[i]);
  store4(nextParam + at, p, count, packed);
  store4(nextM + at, a, count, packed);
  store4(nextV + at, b, count, packed);
}

/** p - p*(lr*decay) - sign*lr: the sign of 0 is 0, that of NaN NaN. rest: 1 - beta */
template <class P, class G>
__device__ void lion(const P *param, const G *grad, const f32 *m, const f32 *lr, P *nextParam, f32 *nextM, i64 n, f32 beta1,
                     f32 rest1, f32 beta2, f32 rest2, f32 decay, int packed) {
  const i64 at = globalThread() * WIDTH;
  if (at >= n) return;
  const int count = (int)min((i64)WIDTH, n - at);
  const f32 rate = *lr, loss = __fmul_rn(rate, decay);
  f32 p[WIDTH], g[WIDTH], a[WIDTH];
  load4(p, param + at, count, packed);
  load4(g, grad + at, count, packed);
  load4(a, m + at, count, packed);
#pragma unroll
  for (int i = 0; i < WIDTH; i++) {
    const f32 mix = mixed(a[i], beta1, g[i], rest1);
    const f32 sign = mix < 0.f ? -1.f : mix > 0.f ? 1.f : mix;
    p[i] = __fsub_rn(__fsub_rn(p[i], __fmul_rn(p[i], loss)), __fmul_rn(sign, rate));
    a[i] = mixed(a[i], beta2, g[i], rest2);
  }
  store4(nextParam + at, p, count, packed);
  store4(nextM + at, a, count, packed);
}

/** mean and held (momentum) may be null. rest: 1 - alpha */
template <class P, class G>
__device__ void rmsprop(const P *param, const G *grad, const f32 *v, const f32 *mean, const f32 *held, const f32 *lr,
                        P *nextParam, f32 *nextV, f32 *nextMean, f32 *nextHeld, i64 n, f32 alpha, f32 rest, f32 eps,
                        f32 decay, f32 momentum, int meanOnly, int packed) {
  const i64 at = globalThread() * WIDTH;
  if (at >= n) return;
  const int count = (int)min((i64)WIDTH, n - at);
  const f32 rate = *lr;
  f32 p[WIDTH], plain[WIDTH], g[WIDTH], a[WIDTH], b[WIDTH];
  load4(p, param + at, count, packed);
  load4(plain, grad + at, count, packed);
  load4(a, v + at, count, packed);
#pragma unroll
  for (int i = 0; i < WIDTH; i++) {
    g[i] = decay == 0.f ? plain[i] : __fadd_rn(plain[i], __fmul_rn(p[i], decay));
    a[i] = mixed(a[i], alpha, __fmul_rn(g[i], g[i]), rest);
  }
  store4(nextV + at, a, count, packed);
  if (mean) {
    load4(b, mean + at, count, packed);
#pragma unroll
    for (int i = 0; i < WIDTH; i++) {
      b[i] = mixed(b[i], alpha, g[i], rest);
      a[i] = __fsub_rn(a[i], __fmul_rn(b[i], b[i]));
    }
    store4(nextMean + at, b, count, packed);
  }
#pragma unroll
  for (int i = 0; i < WIDTH; i++) g[i] = __fdiv_rn(meanOnly ? plain[i] : g[i], __fadd_rn(__fsqrt_rn(a[i]), eps));
  if (held) {
    load4(b, held + at, count, packed);
#pragma unroll
    for (int i = 0; i < WIDTH; i++) g[i] = __fadd_rn(__fmul_rn(b[i], momentum), g[i]);
    store4(nextHeld + at, g, count, packed);
  }
#pragma unroll
  for (int i = 0; i < WIDTH; i++) p[i] = __fsub_rn(p[i], __fmul_rn(g[i], rate));
  store4(nextParam + at, p, count, packed);
}

/** held (momentum) may be null. */
template <class P, class G>
__device__ void sgd(const P *param, const G *grad, const f32 *held, const f32 *lr, P *nextParam, f32 *nextHeld, i64 n,
                    f32 momentum, int nesterov, f32 decay, int packed) {
  const i64 at = globalThread() * WIDTH;
  if (at >= n) return;
  const int count = (int)min((i64)WIDTH, n - at);
  const f32 rate = *lr;
  f32 p[WIDTH], g[WIDTH], a[WIDTH];
  load4(p, param + at, count, packed);
  load4(g, grad + at, count, packed);
  if (decay != 0.f)
#pragma unroll
    for (int i = 0; i < WIDTH; i++) g[i] = __fadd_rn(g[i], __fmul_rn(p[i], decay));
  if (held) {
    load4(a, held + at, count, packed);
#pragma unroll
    for (int i = 0; i < WIDTH; i++) {
      a[i] = __fadd_rn(__fmul_rn(a[i], momentum), g[i]);
      g[i] = nesterov ? __fadd_rn(g[i], __fmul_rn(a[i], momentum)) : a[i];
    }
    store4(nextHeld + at, a, count, packed);
  }
#pragma unroll
  for (int i = 0; i < WIDTH; i++) p[i] = __fsub_rn(p[i], __fmul_rn(g[i], rate));
  store4(nextParam + at, p, count, packed);
}

// adam in place for 24 parameters a launch: those of the i-th are for the blocks whose y is i. scale may be null.
#define EACH(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11) M(12) M(13) M(14) M(15) M(16) M(17) M(18)  \
  M(19) M(20) M(21) M(22) M(23)
#define PARAM(i) void *p##i,
#define GRAD(i) const void *g##i,
#define MEAN(i) f32 *m##i,
#define SQUARE(i) f32 *v##i,
#define COUNT(i) i64 n##i,
#define CHOOSE(i)         \
  if (blockIdx.y == i) {  \
    p = p##i;             \
    g = g##i;             \
    m = m##i;             \
    v = v##i;             \
    n = n##i;             \
  }
template <class T> __device__ __forceinline__ bool atPack(const void *x) {
  return (unsigned long long)x % (WIDTH * sizeof(T)) == 0;
}
#define ADAM_EACH(name, P, G)                                                                                           \
  extern "C" __global__ void adam_each_##name(EACH(PARAM) EACH(GRAD) EACH(MEAN) EACH(SQUARE) EACH(COUNT)                \
                                              const f32 *lr, const f32 *correction1, const f32 *correction2,            \
                                              const f32 *scale, f32 beta1, f32 rest1, f32 beta2, f32 rest2, f32 eps,    \
                                              f32 decay, int order) {                                                   \
    void *p = nullptr;                                                                                                  \
    const void *g = nullptr;                                                                                            \
    f32 *m = nullptr, *v = nullptr;                                                                                     \
    i64 n = 0;                                                                                                          \
    EACH(CHOOSE)                                                                                                        \
    const AdamRates rates(beta1, rest1, beta2, rest2, eps, decay, order, lr, correction1, correction2);                 \
    const bool packed = atPack<P>(p) && atPack<G>(g) && atPack<f32>(m) && atPack<f32>(v);                               \
    adam<P, G>((P *)p, (const G *)g, m, v, rates, (P *)p, m, v, n, packed, scale ? *scale : 1.f);                       \
  }

// Names: adam_<parameter>_<gradient>.
#define ENTRY(name, P, G)                                                                                               \
  ADAM_EACH(name, P, G)                                                                                               \
  extern "C" __global__ void adam_##name(const P *param, const G *grad, const f32 *m, const f32 *v, const f32 *lr,      \
                                         const f32 *correction1, const f32 *correction2, P *nextParam, f32 *nextM,      \
                                         f32 *nextV, i64 n, f32 beta1, f32 rest1, f32 beta2, f32 rest2, f32 eps,        \
                                         f32 decay, int order, int packed) {                                            \
    const AdamRates rates(beta1, rest1, beta2, rest2, eps, decay, order, lr, correction1, correction2);                 \
    adam<P, G>(param, grad, m, v, rates, nextParam, nextM, nextV, n, packed);                                           \
  }                                                                                                                     \
  extern "C" __global__ void lion_##name(const P *param, const G *grad, const f32 *m, const f32 *lr, P *nextParam,      \
                                         f32 *nextM, i64 n, f32 beta1, f32 rest1, f32 beta2, f32 rest2, f32 decay,      \
                                         int packed) {                                                                  \
    lion<P, G>(param, grad, m, lr, nextParam, nextM, n, beta1, rest1, beta2, rest2, decay, packed);                     \
  }                                                                                                                     \
  extern "C" __global__ void rmsprop_##name(const P *param, const G *grad, const f32 *v, const f32 *mean,               \
                                            const f32 *held, const f32 *lr, P *nextParam, f32 *nextV, f32 *nextMean,    \
                                            f32 *nextHeld, i64 n, f32 alpha, f32 rest, f32 eps, f32 decay,              \
                                            f32 momentum, int meanOnly, int packed) {                                   \
    rmsprop<P, G>(param, grad, v, mean, held, lr, nextParam, nextV, nextMean, nextHeld, n, alpha, rest, eps, decay,     \
                  momentum, meanOnly, packed);                                                                          \
  }                                                                                                                     \
  extern "C" __global__ void sgd_##name(const P *param, const G *grad, const f32 *held, const f32 *lr, P *nextParam,    \
                                        f32 *nextHeld, i64 n, f32 momentum, int nesterov, f32 decay, int packed) {      \
    sgd<P, G>(param, grad, held, lr, nextParam, nextHeld, n, momentum, nesterov, decay, packed);                        \
  }
ENTRY(f32_f32, f32, f32)
ENTRY(f32_bf16, f32, bf16)
ENTRY(f32_f16, f32, f16)
ENTRY(bf16_bf16, bf16, bf16)
ENTRY(bf16_f32, bf16, f32)
ENTRY(f16_f16, f16, f16)
ENTRY(f16_f32, f16, f32)
