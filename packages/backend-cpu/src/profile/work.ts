import { argumentPlaces, type NativeArgument } from "../native/observe.ts";

/** What a call did: arithmetic where it multiplies matrices, bytes elsewhere. */
export interface Work {
  /** "2048 x 576 x 1536, A·Bᵀ, bf16" of a matrix product, "" of anything else */
  readonly shape: string;
  readonly flops: number;
  readonly bytes: number;
}

/** Arguments by C's names. */
export interface Named {
  number(name: string): number;
  array(name: string): ArrayBufferView | undefined;
}

const storages = ["f32", "bf16", "f16", "int8", "nf4", "fp4"];

const products: Readonly<Record<string, (at: Named) => { flops: number; shape?: string }>> = {
  gemm_f32: (at) => product(at, 1),
  gemm: (at) => product(at, 1, storages[at.number("storage")] ?? ""),
  gemm_batched_f32: (at) => product(at, at.number("batch")),
  attention_fwd: (at) => ({ flops: 2 * causal(at) }),
  // q·kᵀ again, dv, dp, dq, dk
  attention_bwd: (at) => ({ flops: 5 * causal(at) }),
  attention_cached(at) {
    const start = at.array("start");
    let places = 0;
    if (start instanceof Int32Array) for (const from of start) places += from + at.number("sq");
    return { flops: 4 * at.number("h") * at.number("d") * at.number("sq") * places };
  },
  cross_entropy(at) {
    const passes = 1 + (at.array("dx") ? 1 : 0) + (at.array("dw") ? 1 : 0);
    const count = at.array("count"); // rows that have a target, as the kernel found them
    const rows = count instanceof Float64Array ? (count[0] ?? 0) : 0;
    return { flops: 2 * passes * rows * at.number("h") * at.number("vocab") };
  },
};

/** FLOP of one triangular product of attention, as if each row were a single segment. */
function causal(at: Named): number {
  const s = at.number("s");
  return at.number("b") * at.number("h") * at.number("d") * s * (s + 1);
}

function product(at: Named, batch: number, storage = "f32"): { flops: number; shape: string } {
  const [m, n, k] = ["M", "N", "K"].map((name) => at.number(name)) as [number, number, number];
  const [a, b] = [at.number("transA") ? "Aᵀ" : "A", at.number("transB") ? "Bᵀ" : "B"];
  const many = batch === 1 ? "" : `${batch} of `;
  return { flops: 2 * batch * m * n * k, shape: `${many}${m} x ${n} x ${k}, ${a}·${b}, ${storage}` };
}

/** A call's arguments by name: 0 and undefined where there is no such number or array. */
export function namedArguments(kernel: string, args: readonly NativeArgument[]): Named {
  const places = argumentPlaces.get(kernel);
  return {
    number(name) {
      const value = args[places?.get(name) ?? -1];
      return typeof value === "number" ? value : 0;
    },
    array(name) {
      const value = args[places?.get(name) ?? -1];
      return typeof value === "number" || value === null ? undefined : value;
    },
  };
}

/** What one call of a C kernel did, from its arguments after it. */
export function workOf(kernel: string, args: readonly NativeArgument[]): Work {
  const named = namedArguments(kernel, args);
  const of = products[kernel]?.(named);
  if (of) return { shape: of.shape ?? "", flops: of.flops, bytes: 0 };
  // the table of an embedding is read in few rows: what moves is those, and the same again written
  if (kernel.startsWith("embedding")) return { shape: "", flops: 0, bytes: 8 * named.number("n") * named.number("h") };
  let bytes = 0;
  for (const value of args) if (value !== null && typeof value !== "number") bytes += value.byteLength;
  return { shape: "", flops: 0, bytes };
}
