import type { NativeArgument } from "../native/observe.ts";
import { namedArguments } from "../profile/work.ts";

/** Memory that a C kernel takes beside the arrays it is given, in bytes. */
export interface Workspace {
  /** freed when the call returns */
  readonly transient: number;
  /** kept for later calls, by the slot that it lies in (ft_scratch in kernels/common.h); a slot is as large as its largest use */
  readonly kept: Readonly<Record<string, number>>;
}

/** What packed panels of A and B take in each thread at most (kernels/gemm/product.h), and the quarter that scratch grows by. */
const packed = 1.25 * ((240 << 10) + (2 << 20));
/** columns of a panel, at the widest level */
const panel = 32;
/** query rows of a block (kernels/attention/panel.h) */
const queries = 64;

/** Memory of one call, from its arguments; it follows kernels/loss.c and kernels/attention. */
export function workspaceOf(kernel: string, args: readonly NativeArgument[], threads: number): Workspace {
  const { number, array } = namedArguments(kernel, args);
  if (kernel.startsWith("gemm")) return { transient: 0, kept: { pack: threads * packed } };
  if (kernel === "cross_entropy") {
    const targets = array("targets");
    const used = targets instanceof Int32Array ? targets.reduce((n, id) => n + (id >= 0 ? 1 : 0), 0) : number("rows");
    const chunk = Math.max(1, Math.min(number("chunk"), used));
    // scores, gathered rows with their gradients, row numbers and losses
    const transient = chunk * (4 * number("vocab") + 8 * number("h") + 8) + 8 * used;
    return { transient, kept: { pack: threads * packed } };
  }
  if (kernel === "attention_fwd" || kernel === "attention_bwd") {
    const [b, s, h, hk, d] = ["b", "s", "h", "hk", "d"].map(number) as [number, number, number, number, number];
    const wide = Math.ceil(d / panel) * panel;
    const block = threads * 4 * (8 * queries * wide + 2 * queries * 96);
    if (kernel === "attention_fwd") return { transient: 0, kept: { task: block } };
    // key heads one by one, or query heads into parts that are added up
    const byKeyHead = h === hk || threads === 1 || b * hk >= 4 * threads;
    if (byKeyHead) return { transient: 0, kept: { task: block + 1.25 * threads * 4 * 2 * s * wide } };
    return { transient: 0, kept: { task: block, shared: 1.25 * 4 * 2 * b * h * s * wide } };
  }
  return { transient: 0, kept: {} };
}
