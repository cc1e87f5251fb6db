// Where the time of a training step, or of a decoded token, goes, and how fast its matrix products are beside the same products alone.
import { kernelProfile } from "@ft/backend-cpu";
import { table } from "../lib/numbers.mjs";

/** Watches a backend: `observe` goes into createCpuBackend. Keeps one call of each product as a pattern to repeat. */
export function watch() {
  const profile = kernelProfile();
  const patterns = new Map();
  let seconds = 0;
  let steps = 0;
  return {
    observe(kernel, args, milliseconds) {
      profile.observe(kernel, args, milliseconds);
      if (!kernel.startsWith("gemm") && kernel !== "cross_entropy") return;
      const key = `${kernel} ${args.filter((arg) => typeof arg === "number").join(" ")}`;
      if (!patterns.has(key)) patterns.set(key, { kernel, args });
    },
    /** Forgets the steps that warm up. */
    reset() {
      profile.reset();
      [seconds, steps] = [0, 0];
    },
    step(took, count = 1) {
      seconds += took;
      steps += count;
    },
    /** The profile with, for each product, the time that its calls would take alone. */
    result(native) {
      const times = profile.times(); // before the calls below, which are observed too
      const alone = new Map();
      for (const { kernel, args } of patterns.values()) {
        const once = kernelProfile();
        once.observe(kernel, args, 0);
        const [{ shape }] = once.times();
        if (!alone.has(`${kernel} ${shape}`)) alone.set(`${kernel} ${shape}`, timeAlone(native, kernel, args));
      }
      const withAlone = times.map((time) => ({ ...time, alone: alone.get(`${time.kernel} ${time.shape}`) }));
      return { times: withAlone, seconds, steps };
    },
  };
}

/** Milliseconds of a call by itself; of the head with its loss, those of its products. */
function timeAlone(native, kernel, args) {
  if (kernel !== "cross_entropy") return best(native[kernel], args.map(filled));
  const [, w, storage, scales, block, products, , rows, h, vocab, chunk, , , dx] = args;
  const [x, scores] = [chunk * h, chunk * vocab].map((count) => filled(new Float32Array(count)));
  const weight = [filled(w), storage, scales, block, h];
  const forward = best(native.gemm, [chunk, vocab, h, x, h, 0, ...weight, 1, scores, vocab, 1, 0, products]);
  const backward = best(native.gemm, [chunk, h, vocab, scores, vocab, 0, ...weight, 0, x, h, 1, 0, products]);
  return (rows / chunk) * (forward + (dx === null ? 0 : backward));
}

/** Best milliseconds of one call within a fifth of a second. */
function best(call, args) {
  let least = Number.POSITIVE_INFINITY;
  let runs = 0;
  for (const end = performance.now() + 200; runs < 3 || performance.now() < end; runs++) {
    const from = performance.now();
    call(...args);
    least = Math.min(least, performance.now() - from);
  }
  return least;
}

/** An array of the same size with numbers around 1: what it held may be gone, and arithmetic on denormals is slow. */
function filled(array) {
  if (array === null || typeof array === "number") return array;
  const copy = new array.constructor(new ArrayBuffer(array.byteLength));
  return copy.fill(array instanceof Uint16Array ? 0x3f80 : array instanceof Float32Array ? 1 : 0);
}

const isProduct = ({ kernel }) => kernel.startsWith("gemm");
const sum = (rows, of) => rows.reduce((total, row) => total + of(row), 0);

/** Prints the table of one result; a step is what `step` counted. */
export function printProfile({ times, seconds, steps }) {
  const total = seconds * 1000;
  const row = ({ kernel, shape, calls, milliseconds, flops, bytes, alone }) => [
    shape === "" ? kernel : `${kernel} ${shape}`,
    (calls / steps).toFixed(0),
    (milliseconds / steps).toFixed(1),
    `${((100 * milliseconds) / total).toFixed(1)} %`,
    flops > 0 ? (flops / milliseconds / 1e6).toFixed(1) : "",
    bytes > 0 ? (bytes / milliseconds / 1e6).toFixed(1) : "",
    alone !== undefined && flops > 0 ? (flops / calls / alone / 1e6).toFixed(1) : "",
    alone !== undefined ? `${((100 * alone * calls) / milliseconds).toFixed(0)} %` : "",
  ];
  const byKernel = new Map();
  for (const time of times) {
    const sofar = byKernel.get(time.kernel);
    byKernel.set(time.kernel, {
      ...time,
      shape: "",
      alone: undefined,
      ...(sofar && {
        calls: sofar.calls + time.calls,
        milliseconds: sofar.milliseconds + time.milliseconds,
        flops: sofar.flops + time.flops,
        bytes: sofar.bytes + time.bytes,
      }),
    });
  }
  const inKernels = sum(times, ({ milliseconds }) => milliseconds);
  const rest = {
    kernel: "JavaScript and other",
    shape: "",
    calls: 0,
    milliseconds: total - inKernels,
    flops: 0,
    bytes: 0,
  };
  const head = ["a step", "calls", "ms", "share", "GFLOP/s", "GB/s"];
  const kernels = [...byKernel.values()].sort((a, b) => b.milliseconds - a.milliseconds);
  console.log(`\n${(total / steps).toFixed(0)} ms a step, mean of ${steps}\n`);
  console.log(table([head, ...[...kernels, rest].map((time) => row(time).slice(0, 6))]));
  const products = times.filter(isProduct);
  console.log("\nIts products beside the same calls alone (best of many, warm caches)\n");
  console.log(table([[...head, "alone", "of it"], ...times.filter(({ alone }) => alone !== undefined).map(row)]));
  const summary = (what, rows) => {
    const took = sum(rows, ({ milliseconds }) => milliseconds);
    const rate = sum(rows, ({ flops }) => flops) / took / 1e6;
    const alone = sum(rows, ({ alone, calls }) => alone * calls);
    console.log(
      `${what}: ${((100 * took) / total).toFixed(1)} % of the step, ${rate.toFixed(1)} GFLOP/s, ${((100 * alone) / took).toFixed(0)} % of their rate alone`,
    );
  };
  console.log();
  summary("matrix products", products);
  summary(
    "matrix products, head and loss (alone: its products)",
    times.filter(({ alone }) => alone !== undefined),
  );
}
