import { sizeOf } from "@ft/tensor";
import { type Address, at, type CudaContext, type CudaView } from "../context.ts";
import { padded } from "../kernels/alignment.ts";
import { type AttentionShape, attentionBackwardGraph, attentionForwardGraph } from "./attention-graph.ts";
import type { Graph } from "./graph.ts";
import { loadCudnn } from "./library.ts";
import { offsetsOf } from "./offsets.ts";
import { type CudnnPlan, makePlan } from "./plan.ts";
import { nameOf, type Sequences, sequencesOf } from "./sequences.ts";

/** Minus infinity may stand for what is not seen from here on. */
const oldest = 91000;
/** Heads wider than 128 of packed sequences get wrong gradients before. */
const wideHeads = 91900;

/** bytes that a plan may want beside its tensors */
const mostWorkspace = 2 ** 31;

/** What attention is asked for: q [b, s, h, d], k and v [b, s, hk, d], segments [b, s]. */
export interface AttentionInputs {
  readonly q: CudaView;
  readonly k: CudaView;
  readonly v: CudaView;
  readonly segments: CudaView;
  readonly scale: number;
}

/** Who makes plans: cuDNN, or in a dry run what stands for it. */
export interface AttentionLibrary {
  readonly version: number;
  plan(graph: Graph, shape: AttentionShape): CudnnPlan;
  /** Gives back what it holds, with the backend. */
  dispose(): void;
}

/** A plan and what it was made for. */
export interface FusedAttention {
  readonly plan: CudnnPlan;
  readonly shape: AttentionShape;
}

/** cuDNN, or undefined where it is missing or too old. */
export function fusedAttention(context: CudaContext): AttentionLibrary | undefined {
  return context.keep("cudnn attention", (): AttentionLibrary | undefined => {
    if (context.card.capability < 80) return undefined;
    if (context.dry) return { version: wideHeads, plan: dryPlan, dispose: () => {} };
    const path = context.libraries.cudnn;
    if (path === undefined) return undefined;
    try {
      const cudnn = loadCudnn(path, context.stream);
      const { version, dispose } = cudnn;
      if (version >= oldest && version < 100000) return { version, plan: (graph) => makePlan(cudnn, graph), dispose };
      dispose();
      return undefined;
    } catch {
      // `ft doctor` says why
      return undefined;
    }
  });
}

/** The memory that cuDNN 9.19 asks for on an H100. */
function dryPlan(
  graph: Graph,
  { kind, batch, heads, kvHeads, seq, headDim, deterministic }: AttentionShape,
): CudnnPlan {
  const names = graph.tensors.flatMap(({ name }) => name ?? []);
  const rows = batch * heads * seq;
  const heavy = names.includes("dq") && kind === "dense" && heads !== kvHeads ? 4 * rows * headDim : 0;
  const squares = names.includes("dq") && deterministic ? 2 * rows * seq : 0;
  return { names, workspace: heavy + squares + (16 << 10), execute: () => {} };
}

/**
 * The shape of the plan that serves these inputs, or undefined where the kernels of this package do. What is decided by
 * the segments' values is told to a graph that is being recorded.
 */
export function attentionShape(
  context: CudaContext,
  version: number,
  { q, k, segments, scale }: AttentionInputs,
): AttentionShape | undefined {
  const { dtype } = q;
  const [batch = 0, seq = 0, heads = 0, headDim = 0] = q.shape;
  const [, , kvHeads = 0] = k.shape;
  if ((dtype !== "bf16" && dtype !== "f16") || headDim % 8 !== 0 || batch * seq === 0) return undefined;
  if (headDim > (version >= wideHeads ? 256 : 128)) return undefined;
  const { buffer } = segments.storage;
  if (buffer.host?.length !== batch * seq) return undefined;
  context.guard(buffer, (host) => nameOf(known(host, seq)));
  const sequences = known(buffer.host, seq);
  if (sequences.kind === "own") return undefined;
  // 9.19 sums dq wrongly where packed heads are no multiple of 16
  if (sequences.kind === "packed" && headDim % 16 !== 0) return undefined;
  const sizes = { heads, kvHeads, headDim, dtype, scale };
  if (sequences.kind === "dense") return { kind: "dense", batch, seq, ...sizes };
  // one plan serves batches of about the same lengths: a longer maximum costs nothing
  const longest = 2 ** Math.ceil(Math.log2(seq));
  return { kind: "packed", batch: Math.max(batch, sequences.slots), seq: longest, ...sizes };
}

const read = new WeakMap<Int32Array, Map<number, Sequences>>();

/** sequencesOf(), once for all layers. */
function known(host: Int32Array, seq: number): Sequences {
  const bySeq = read.get(host) ?? new Map<number, Sequences>();
  read.set(host, bySeq);
  const sequences = bySeq.get(seq) ?? sequencesOf(host, seq);
  bySeq.set(seq, sequences);
  return sequences;
}

/**
 * The plan for a shape, found once; or undefined where cuDNN has no engine for it, or one that wants too much memory: a
 * deterministic backward writes out every score, for packed sequences as if all were of the longest.
 */
export function attentionPlan(
  context: CudaContext,
  library: AttentionLibrary,
  shape: AttentionShape,
  direction: "forward" | "backward",
): FusedAttention | undefined {
  const { kind, batch, heads, kvHeads, seq, headDim, dtype, scale, deterministic } = shape;
  const sizes = `${batch},${heads},${kvHeads},${seq},${headDim}`;
  const key = `cudnn attention ${direction} ${kind} ${sizes} ${dtype} ${scale} ${deterministic}`;
  return context.keep(key, () => {
    if (deterministic && kind === "packed") return undefined;
    try {
      const graph = direction === "forward" ? attentionForwardGraph(shape) : attentionBackwardGraph(shape);
      const plan = library.plan(graph, shape);
      return plan.workspace > mostWorkspace ? undefined : { plan, shape };
    } catch {
      return undefined;
    }
  });
}

/** Queues y and lse. */
export function cudnnForward(
  context: CudaContext,
  { plan, shape }: FusedAttention,
  { q, k, v, segments }: AttentionInputs,
  y: CudaView,
  lse: CudaView,
): void {
  const [, seq = 0, heads = 0] = q.shape;
  const rows = sizeOf(lse.shape);
  const packed = shape.kind === "packed";
  areas(context, { workspace: plan.workspace, rows: packed ? rows * 4 : 0 }, (area) => {
    const memory = { q: at(q), k: at(k), v: at(v), y: at(y), lse: packed ? area.rows : at(lse) };
    const all = { ...memory, ...offsetsOf(context, shape, segments) };
    context.external("attention.forward", () => plan.execute(all, area.workspace));
    // what is saved means the same whoever made it
    if (packed) context.launch("turn_statistics", Math.ceil(rows / 256), 256, [area.rows, rows, seq, heads, lse]);
  });
}

/** Queues dq, dk and dv. */
export function cudnnBackward(
  context: CudaContext,
  { plan, shape }: FusedAttention,
  { q, k, v, segments }: AttentionInputs,
  kept: { readonly y: CudaView; readonly lse: CudaView; readonly g: CudaView },
  to: { readonly q: CudaView; readonly k: CudaView; readonly v: CudaView },
): void {
  const [, seq = 0, heads = 0] = q.shape;
  const [count, rows] = [sizeOf(q.shape), sizeOf(kept.lse.shape)];
  const packed = shape.kind === "packed";
  const uses = (name: string, bytes: number): number => (plan.names.includes(name) ? bytes : 0);
  const sizes = {
    workspace: plan.workspace,
    delta: rows * 4,
    dqSums: uses("dqSums", count * 4),
    dkHeads: uses("dkHeads", count * 2),
    dvHeads: uses("dvHeads", count * 2),
    rows: packed ? rows * 4 : 0,
  };
  areas(context, sizes, ({ workspace, rows: turned, ...more }) => {
    if (packed) context.launch("turn_statistics", Math.ceil(rows / 256), 256, [kept.lse, rows, heads, seq, turned]);
    const memory = {
      ...more,
      ...offsetsOf(context, shape, segments),
      q: at(q),
      k: at(k),
      v: at(v),
      y: at(kept.y),
      g: at(kept.g),
      lse: packed ? turned : at(kept.lse),
      dq: at(to.q),
      dk: at(to.k),
      dv: at(to.v),
    };
    context.external("attention.backward", () => plan.execute(memory, workspace));
  });
}

/** One work area cut into several, each aligned to 256 bytes. */
function areas<K extends string>(
  context: CudaContext,
  sizes: Readonly<Record<K, number>>,
  fn: (area: Readonly<Record<K, Address>>) => void,
): void {
  const entries: [string, number][] = Object.entries(sizes);
  const places: { [name: string]: number } = {};
  let bytes = 0;
  for (const [name, size] of entries) {
    places[name] = bytes;
    bytes += padded(size);
  }
  context.scratch(Math.max(bytes, 256), (base) => {
    const area = Object.fromEntries(entries.map(([name]) => [name, base + BigInt(places[name] ?? 0)]));
    fn(area as Record<K, Address>);
  });
}
