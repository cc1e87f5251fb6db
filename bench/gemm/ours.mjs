// The C kernels' product, one shape a line on standard input: {"threads", "m", "n", "k", "transB", "products"}.
import { createCpuBackend } from "@ft/backend-cpu";
import { serve } from "../lib/serve.mjs";

const backends = new Map();
const arrays = new Map();

/** An array of ordinary numbers, made once. */
function numbers(name, count) {
  const key = `${name} ${count}`;
  if (!arrays.has(key)) {
    const x = new Float32Array(count);
    for (let i = 0; i < count; i++) x[i] = ((i * 7919 + 13) % 2003) / 1000 - 1;
    arrays.set(key, x);
  }
  return arrays.get(key);
}

async function bf16Products() {
  try {
    await createCpuBackend({ compute: "bf16" });
    return true;
  } catch {
    return false;
  }
}

await serve({
  ready: { bf16: await bf16Products() },
  async step({ threads, m, n, k, transB, products }) {
    if (!backends.has(threads)) backends.set(threads, await createCpuBackend({ threads }));
    const { native } = backends.get(threads).context;
    const [a, b, c] = [numbers("a", m * k), numbers("b", n * k), numbers("c", m * n)];
    const ldb = transB ? k : n;
    const once = () => native.gemm(m, n, k, a, k, 0, b, 0, null, 0, ldb, transB, c, n, 1, 0, products);
    once();
    let best = Number.POSITIVE_INFINITY;
    for (const end = performance.now() + 150; performance.now() < end; ) {
      const from = performance.now();
      once();
      best = Math.min(best, performance.now() - from);
    }
    return { seconds: best / 1000 };
  },
});
