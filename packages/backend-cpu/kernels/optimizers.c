/* Steps of optimizers: parameter and slots in place, one pass. */

typedef struct {
  float *param, *m, *v, *mean;
  const float *grad;
  int64_t n;
  float decay, beta1, lerp, beta2, square, eps, root, step, momentum, damp, wd, lr;
  int order, nesterov, first, mean_only;
} update;

enum { DECAY_BEFORE, DECAY_AFTER, DECAY_L2 };

FT_INLINE void adam_as(const int order, const update *g, int64_t from, int64_t end) {
  for (int64_t i = from; i < end; i += VL) {
    int64_t some = end - i;
    vf grad = load_n(g->grad + i, some), m = load_n(g->m + i, some), v = load_n(g->v + i, some);
    vf p = load_n(g->param + i, some), old = p;
    if (order == DECAY_BEFORE) p = p * g->decay;
    if (order == DECAY_L2) grad = grad + p * g->wd;
    m = order == DECAY_AFTER ? m * g->beta1 + grad * g->lerp : m + (grad - m) * g->lerp; /* as torch rounds */
    v = v * g->beta2 + grad * grad * g->square;
    p = p - m * g->step / (vsqrt(v) / g->root + g->eps);
    if (order == DECAY_AFTER) {
      vi finite = grad - grad == 0;
      p = pick(finite, p * g->decay, old);
      m = pick(finite, m, (vf){0});
      v = pick(finite, v, (vf){0});
    }
    store_n(g->m + i, m, some);
    store_n(g->v + i, v, some);
    store_n(g->param + i, p, some);
  }
}

static void adam_task(void *arg, int64_t task) {
  const update *g = arg;
  int64_t from = task * CHUNK, end = FT_MIN(g->n, from + CHUNK);
  if (g->order == DECAY_BEFORE) adam_as(DECAY_BEFORE, g, from, end);
  else if (g->order == DECAY_AFTER) adam_as(DECAY_AFTER, g, from, end);
  else adam_as(DECAY_L2, g, from, end);
}

void K(ft_adam)(float *param, const float *grad, float *m, float *v, int64_t n, double lr, double beta1, double beta2,
                double eps, double wd, double correction1, double correction2, int order) {
  update g = {.param = param, .grad = grad, .m = m, .v = v, .n = n, .order = wd == 0 && order == DECAY_L2 ? DECAY_BEFORE : order};
  g.decay = (float)(1 - lr * wd);
  g.wd = (float)wd;
  g.beta1 = (float)beta1;
  g.lerp = (float)(1 - beta1);
  g.beta2 = (float)beta2;
  g.square = (float)(1 - beta2);
  g.eps = (float)eps;
  g.root = (float)__builtin_sqrt(correction2);
  g.step = (float)(lr / correction1);
  ft_parallel(ceil_div(n, CHUNK), adam_task, &g);
}

static void lion_task(void *arg, int64_t task) {
  const update *g = arg;
  int64_t end = FT_MIN(g->n, (task + 1) * CHUNK);
  for (int64_t i = task * CHUNK; i < end; i += VL) {
    int64_t some = end - i;
    vf grad = load_n(g->grad + i, some), m = load_n(g->m + i, some), p = load_n(g->param + i, some) * g->decay;
    vf mixed = m * g->beta1 + grad * g->lerp;
    vf sign = pick(mixed > 0, splat(1), pick(mixed < 0, splat(-1), mixed)); /* 0 and NaN stay */
    store_n(g->param + i, p - sign * g->lr, some);
    store_n(g->m + i, m * g->beta2 + grad * g->square, some);
  }
}

void K(ft_lion)(float *param, const float *grad, float *m, int64_t n, double lr, double beta1, double beta2, double wd) {
  update g = {.param = param, .grad = grad, .m = m, .n = n, .lr = (float)lr, .decay = (float)(1 - lr * wd)};
  g.beta1 = (float)beta1;
  g.lerp = (float)(1 - beta1);
  g.beta2 = (float)beta2;
  g.square = (float)(1 - beta2);
  ft_parallel(ceil_div(n, CHUNK), lion_task, &g);
}

static void rmsprop_task(void *arg, int64_t task) {
  const update *g = arg;
  int64_t end = FT_MIN(g->n, (task + 1) * CHUNK);
  for (int64_t i = task * CHUNK; i < end; i += VL) {
    int64_t some = end - i;
    vf p = load_n(g->param + i, some), plain = load_n(g->grad + i, some), grad = plain;
    if (g->wd != 0) grad = grad + p * g->wd;
    vf v = load_n(g->v + i, some) * g->beta2 + grad * grad * g->square, variance = v;
    if (g->mean) {
      vf mean = load_n(g->mean + i, some) * g->beta2 + grad * g->square;
      store_n(g->mean + i, mean, some);
      variance = v - mean * mean;
    }
    vf step = (g->mean_only ? plain : grad) / (vsqrt(variance) + g->eps);
    if (g->m) {
      step = load_n(g->m + i, some) * g->momentum + step;
      store_n(g->m + i, step, some);
    }
    store_n(g->v + i, v, some);
    store_n(g->param + i, p - step * g->lr, some);
  }
}

void K(ft_rmsprop)(float *param, const float *grad, float *v, float *mean, float *buf, int64_t n, double lr, double alpha,
                   double eps, double wd, double momentum, int mean_only) {
  update g = {.param = param, .grad = grad, .v = v, .mean = mean, .m = buf, .n = n, .mean_only = mean_only};
  g.lr = (float)lr;
  g.beta2 = (float)alpha;
  g.square = (float)(1 - alpha);
  g.eps = (float)eps;
  g.wd = (float)wd;
  g.momentum = (float)momentum;
  ft_parallel(ceil_div(n, CHUNK), rmsprop_task, &g);
}

static void sgd_task(void *arg, int64_t task) {
  const update *g = arg;
  int64_t end = FT_MIN(g->n, (task + 1) * CHUNK);
  for (int64_t i = task * CHUNK; i < end; i += VL) {
    int64_t some = end - i;
    vf p = load_n(g->param + i, some), grad = load_n(g->grad + i, some);
    if (g->wd != 0) grad = grad + p * g->wd;
    if (g->m) {
      vf buf = g->first ? grad : load_n(g->m + i, some) * g->momentum + grad * g->damp;
      store_n(g->m + i, buf, some);
      grad = g->nesterov ? grad + buf * g->momentum : buf;
    }
    store_n(g->param + i, p - grad * g->lr, some);
  }
}

void K(ft_sgd)(float *param, const float *grad, float *buf, int64_t n, double lr, double momentum, double dampening,
               int nesterov, double wd, int first) {
  update g = {.param = param, .grad = grad, .m = buf, .n = n, .nesterov = nesterov, .first = first};
  g.lr = (float)lr;
  g.momentum = (float)momentum;
  g.damp = (float)(1 - dampening);
  g.wd = (float)wd;
  ft_parallel(ceil_div(n, CHUNK), sgd_task, &g);
}
