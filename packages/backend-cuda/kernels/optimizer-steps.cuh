// Steps of Adam on one element, in the order of the references and with every rounding written out, so that a step within
// a fused kernel gives the bits that the steps alone give.
#pragma once
#include "common.cuh"

/** Adam's orders: decay before the step, after it (where gradients that are not finite are left out), or as L2. */
enum { DECAY_BEFORE, DECAY_AFTER, DECAY_L2 };

struct AdamRates {
  f32 beta1, rest1, beta2, rest2, eps, decay; // rest: 1 - beta
  int order;
  f32 root, rate, loss; // sqrt(correction2), lr/correction1, lr*decay
  __device__ AdamRates(f32 beta1, f32 rest1, f32 beta2, f32 rest2, f32 eps, f32 decay, int order, const f32 *lr,
                       const f32 *correction1, const f32 *correction2)
      : beta1(beta1), rest1(rest1), beta2(beta2), rest2(rest2), eps(eps), decay(decay), order(order),
        root(__fsqrt_rn(*correction2)), rate(__fdiv_rn(*lr, *correction1)), loss(__fmul_rn(*lr, decay)) {}
};

__device__ __forceinline__ f32 mixed(f32 x, f32 share, f32 y, f32 rest) {
  return __fadd_rn(__fmul_rn(x, share), __fmul_rn(y, rest));
}

__device__ __forceinline__ void adamStep(const AdamRates &r, f32 &p, f32 g, f32 &m, f32 &v) {
  const f32 from = p;
  if (r.order == DECAY_L2 && r.decay != 0.f) g = __fadd_rn(g, __fmul_rn(from, r.decay));
  m = mixed(m, r.beta1, g, r.rest1);
  v = mixed(v, r.beta2, __fmul_rn(g, g), r.rest2);
  const f32 direction = __fdiv_rn(m, __fadd_rn(__fdiv_rn(__fsqrt_rn(v), r.root), r.eps));
  const f32 update = __fmul_rn(direction, r.rate);
  if (r.order == DECAY_L2) p = __fsub_rn(from, update);
  else if (r.order == DECAY_BEFORE) p = __fsub_rn(__fsub_rn(from, __fmul_rn(from, r.loss)), update);
  else {
    const f32 next = __fsub_rn(from, update);
    const bool finite = __fsub_rn(g, g) == 0.f;
    p = finite ? __fsub_rn(next, __fmul_rn(next, r.loss)) : from;
    m = finite ? m : 0.f;
    v = finite ? v : 0.f;
  }
}
