/* Output head and cross-entropy together: the logits of a chunk of rows are made, turned into the gradient in place and
 * forgotten, so that rows x vocabulary never exists. Rows without a target cost nothing. */

typedef struct {
  const float *x;
  const int32_t *targets;
  const int64_t *row; /* the rows of this chunk */
  float *xs, *logits, *dxs, *dx;
  double *loss;
  int64_t n, h, vocab;
  int gradient;
} head_loss;

static void gather_task(void *arg, int64_t i) {
  const head_loss *g = arg;
  memcpy(g->xs + i * g->h, g->x + g->row[i] * g->h, (size_t)g->h * 4);
}

static void scatter_task(void *arg, int64_t i) {
  const head_loss *g = arg;
  memcpy(g->dx + g->row[i] * g->h, g->dxs + i * g->h, (size_t)g->h * 4);
}

/* loss of a row; with gradient, its logits become softmax - onehot */
static void softmax_task(void *arg, int64_t i) {
  const head_loss *g = arg;
  float *row = g->logits + i * g->vocab;
  int64_t v = g->vocab, target = g->targets[g->row[i]];
  vf high[4]; /* NaN is passed over: its exponential is NaN, and so is the sum */
  for (int u = 0; u < 4; u++) high[u] = splat(-INFINITY);
  int64_t j = 0;
  for (; j + 4 * VL <= v; j += 4 * VL)
    for (int u = 0; u < 4; u++) high[u] = vgreater(load(row + j + u * VL), high[u]);
  float top = hmax(vgreater(vgreater(high[0], high[1]), vgreater(high[2], high[3])));
  for (; j < v; j++) top = row[j] > top ? row[j] : top;
  double chosen = row[target], sum = 0;
  for (int64_t j0 = 0; j0 < v; j0 += 1024) { /* f32 lanes over short runs, f64 across runs */
    int64_t end = FT_MIN(v, j0 + 1024);
    vf lanes = {0};
    for (j = j0; j + VL <= end; j += VL) {
      vf p = vexp(load(row + j) - top);
      store(row + j, p);
      lanes += p;
    }
    if (j < end) {
      float tail[VL];
      store(tail, vexp(load_n(row + j, end - j) - top));
      for (int64_t u = 0; j + u < end; u++) {
        row[j + u] = tail[u];
        sum += tail[u];
      }
    }
    sum += hsum(lanes);
  }
  g->loss[i] = log(sum) + top - chosen;
  if (!g->gradient) return;
  float inverse = (float)(1 / sum);
  for (j = 0; j < v; j += VL) store_n(row + j, load_n(row + j, v - j) * inverse, v - j);
  row[target] -= 1;
}

int K(ft_cross_entropy)(const float *x, const void *w, int storage, const float *scales, int64_t block, int products,
                        const int32_t *targets, int64_t rows, int64_t h, int64_t vocab, int64_t chunk, double *loss,
                        double *count, float *dx, float *dw) {
  stored head = {w, h, storage, scales, block};
  int64_t used = 0;
  if (!can_multiply(&head, products)) return -3;
  for (int64_t i = 0; i < rows; i++) {
    if (targets[i] >= vocab) return -2;
    used += targets[i] >= 0;
  }
  chunk = FT_MAX(1, FT_MIN(chunk, used));
  int64_t *row = ft_alloc((uint64_t)(used + 1) * 8);
  double *row_loss = ft_alloc((uint64_t)chunk * 8);
  float *logits = ft_alloc((uint64_t)(chunk * vocab) * 4), *xs = ft_alloc((uint64_t)(chunk * h) * 8), *dxs = xs + chunk * h;
  int status = -1;
  if (row && row_loss && logits && xs) {
    status = 0;
    *loss = 0;
    *count = (double)used;
    if (dx) memset(dx, 0, (size_t)(rows * h) * 4);
    used = 0;
    for (int64_t i = 0; i < rows; i++)
      if (targets[i] >= 0) row[used++] = i;
    int64_t chunks = ceil_div(used, chunk);
    for (int64_t c = 0; c < chunks; c++) {
      int64_t first = cut(used, chunks, c), n = cut(used, chunks, c + 1) - first;
      head_loss g = {x, targets, row + first, xs, logits, dxs, dx, row_loss, n, h, vocab, dx || dw};
      ft_parallel(n, gather_task, &g);
      status = gemm_stored(n, vocab, h, xs, h, 0, &head, 1, logits, vocab, 1, 0, products);
      if (status) break;
      ft_parallel(n, softmax_task, &g);
      for (int64_t i = 0; i < n; i++) *loss += row_loss[i];
      if (dx) {
        gemm_stored(n, h, vocab, logits, vocab, 0, &head, 0, dxs, h, 1, 0, products);
        ft_parallel(n, scatter_task, &g);
      }
      stored rows_x = {xs, h, STORED_F32, 0, 0};
      if (dw) gemm_stored(vocab, h, n, logits, vocab, 1, &rows_x, 0, dw, h, 1, 1, products);
    }
  }
  ft_release(row);
  ft_release(row_loss);
  ft_release(logits);
  ft_release(xs);
  return status;
}
