import { bytesPerElement } from "@ft/tensor";
import type { Address, Product } from "../context.ts";
import { check, type DriverCalls, made } from "../driver/driver.ts";
import { type CublasLt, checkStatus, created, loadCublasLt } from "./abi.ts";
import { makePlan, type Plan, planKey } from "./plan.ts";

/** What the library may work in. */
export const workspaceBytes: number = 64 << 20;
/** algorithms that are tried when a plan is tuned */
const tried = 8;
const repetitions = 3;
/** Milliseconds of the repetitions. Less than that is as long as the host takes to queue them: the first is kept. */
const worthwhile = 0.04 * repetitions;
/** each is timed so many times, and the least counts: clocks vary. Those far behind are dropped on the way. */
const rounds = 4;
const near = 1.15;
const equal = 1.03;

/** What products need of the backend. */
export interface MultiplyHost {
  /** the file of libcublasLt */
  readonly path: string;
  readonly stream: bigint;
  readonly workspace: Address;
  readonly deterministic: boolean;
  /** time several algorithms at the first use of a plan, and keep the fastest */
  readonly tune: boolean;
  readonly driver: DriverCalls;
  readonly capturing: () => boolean;
  /** the library, if it is loaded already */
  readonly library?: CublasLt;
}

/** Matrix products by cuBLASLt. */
export interface Multiply {
  /** `CudaContext.multiply` */
  multiply(product: Product): void;
  /** Gives back plans and handle. */
  dispose(): void;
}

/** cuBLASLt, with a plan kept for each shape. */
export function createMultiply({
  path,
  stream,
  workspace,
  deterministic,
  tune,
  driver,
  capturing,
  library: lt = loadCublasLt(path),
}: MultiplyHost): Multiply {
  const handle = created("start", lt.create);
  const plans = new Map<string, Plan>();
  const [alpha, beta] = [new Float64Array(new ArrayBuffer(8)), new Float64Array(new ArrayBuffer(8))];
  const [alpha32, beta32] = [new Float32Array(new ArrayBuffer(8)), new Float32Array(new ArrayBuffer(8))];

  const queue = (plan: Plan, { a, b, out, alpha: by = 1, beta: onto = 0 }: Product, algorithm: Uint8Array): number => {
    const wide = a.dtype === "f64";
    const [scale, add] = wide ? [alpha, beta] : [alpha32, beta32];
    scale[0] = by;
    add[0] = onto;
    return lt.multiply(
      handle,
      plan.product,
      scale,
      b.at,
      plan.a,
      a.at,
      plan.b,
      add,
      out.at,
      plan.out,
      out.at,
      plan.out,
      algorithm,
      workspace,
      workspaceBytes,
      stream,
    );
  };

  /** The fastest of the algorithms. A product that adds is not tuned: its result would change with every try. */
  const fastest = (plan: Plan, product: Product): Uint8Array => {
    const [from, to] = [made("cuEventCreate", driver.cuEventCreate, 0), made("cuEventCreate", driver.cuEventCreate, 0)];
    const timed = (algorithm: Uint8Array): number => {
      // the first run is not timed: while it lasts, the host queues the others
      if (queue(plan, product, algorithm) !== 0) return Number.POSITIVE_INFINITY;
      check("cuEventRecord", driver.cuEventRecord(from, stream));
      for (let i = 0; i < repetitions; i++) queue(plan, product, algorithm);
      check("cuEventRecord", driver.cuEventRecord(to, stream));
      check("cuEventSynchronize", driver.cuEventSynchronize(to));
      const out = [0];
      check("cuEventElapsedTime", driver.cuEventElapsedTime(out, from, to));
      return out[0]!;
    };
    let left = plan.algorithms.map((algorithm) => ({ algorithm, milliseconds: Number.POSITIVE_INFINITY }));
    let limit = timed(plan.algorithm);
    for (let round = 0; round < rounds && limit >= worthwhile; round++) {
      for (const one of left) one.milliseconds = Math.min(one.milliseconds, timed(one.algorithm));
      limit = Math.min(...left.map(({ milliseconds }) => milliseconds));
      left = left.filter(({ milliseconds }) => milliseconds <= limit * near);
    }
    driver.cuEventDestroy(from);
    driver.cuEventDestroy(to);
    // the library's order decides between those that differ by less than what is measured from one time to the next
    return left.find(({ milliseconds }) => milliseconds <= limit * equal)?.algorithm ?? plan.algorithm;
  };

  /** A sum of nothing is 0. */
  const clear = ({ m, n, out: { at, dtype, ld, stride = 0 }, batch = 1 }: Product): void => {
    const size = bytesPerElement[dtype];
    const [pieces, width] = ld === n ? [1, m * n] : [m, n];
    for (let matrix = 0; matrix < batch; matrix++)
      for (let piece = 0; piece < pieces; piece++) {
        const from = at + BigInt((matrix * stride + piece * ld) * size);
        check("filling memory", driver.cuMemsetD8Async(from, 0, width * size, stream));
      }
  };

  const multiply = (product: Product): void => {
    const { m, n, k, batch = 1 } = product;
    if (m === 0 || n === 0 || batch === 0) return;
    if (k === 0) {
      if (product.beta !== 1) clear(product);
      return;
    }
    const key = planKey(product);
    let plan = plans.get(key);
    if (plan === undefined) {
      const tunes = tune && !deterministic && !capturing() && product.beta !== 1;
      plan = makePlan(lt, handle, product, workspaceBytes, tunes ? tried : 1);
      if (tunes && plan.algorithms.length > 1) plan.algorithm = fastest(plan, product);
      plans.set(key, plan);
    }
    const status = queue(plan, product, plan.algorithm);
    if (status !== 0) checkStatus(`a product ${m} x ${n} x ${k}`, status);
  };

  return {
    multiply,
    dispose() {
      for (const { product, a, b, out } of plans.values()) {
        lt.destroyProduct(product);
        for (const layout of [a, b, out]) lt.destroyLayout(layout);
      }
      plans.clear();
      lt.destroy(handle);
    },
  };
}
