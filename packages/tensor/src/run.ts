import type { Backend, View } from "./backend.ts";
import { type Spec, sameShape, showShape } from "./dtype.ts";
import { FtError } from "./error.ts";
import { Temps } from "./memory.ts";
import type { AnyKernel, Op, OpShape } from "./op.ts";
import { P } from "./prims.ts";
import { Remake } from "./remake.ts";
import { type Edge, Node, tape } from "./tape.ts";
import { Tensor } from "./tensor.ts";

/** A tensor for each view of an op, by the same names. */
export type Tensors<V> = { readonly [K in keyof V]: Tensor };
/** The one place where names enter the type: an op's public function states them as its return type. */
export type Results<V> = { readonly [K in keyof V]: Tensor<any, any> };

/** An op's inputs, attributes and output axis names, for run(). */
export interface Call<T extends OpShape> {
  readonly in: Tensors<T["in"]>;
  readonly attrs: T["attrs"];
  /** axis names of each output */
  readonly axes: { readonly [K in keyof T["out"]]: readonly string[] };
  /** The inputs named in `op.inPlace` may be overwritten; the caller disposes them or assigns them the result. */
  readonly donate?: boolean;
}

/** Records keyed by an op's own names. Untyped inside on purpose: `T` ties them together at the signature of run(). */
type Named<V> = Record<string, V>;

/** Runs an op: the backend's kernel if it has one that accepts, else the reference. Records it when a gradient is wanted. */
export function run<T extends OpShape>(op: Op<T>, call: Call<T>): Results<T["out"]>;
export function run(op: Op<any>, call: Call<any>): Named<Tensor> {
  const inputs: Named<Tensor> = call.in;
  const views = mapValues(inputs, (x) => x.view);
  const spec = mapValues(views, ({ dtype, shape }): Spec => ({ dtype, shape }));
  const edges = mapValues(inputs, (x) => x.edge);
  const backend = backendOf(op.name, inputs);
  const current = tape();
  const differentiable = Object.values(edges).some((edge) => edge !== undefined);
  if (differentiable) checkDifferentiable(op, edges, current !== undefined);
  const recording = differentiable && current?.paused === false;
  const wants = mapValues(edges, (edge) => recording && edge !== undefined);

  const at = { in: spec, attrs: call.attrs, wants };
  const shapes = inferNamed(op, at, inputs);
  const found = backend.kernels.get(op.id);
  const kernel = found?.accepts?.(at) === false ? undefined : found;
  const temps = new Temps(backend);
  try {
    const donated = call.donate === true && backend.mutable ? op.inPlace : undefined;
    const { out, saved } = forward(op, kernel, temps, { in: views, attrs: call.attrs, wants }, shapes, donated);
    let node: Node | undefined;
    if (recording) {
      const again = (name: string): Remake | undefined =>
        current.remakes ? edges[name]?.node.remakes.get(edges[name].out) : undefined;
      const kept = pick(op.keeps(wants), { ...mapValues(views, (view, name) => again(name) ?? view), ...out });
      node = record(op, kernel, backend, { edges, attrs: call.attrs, wants, spec, shapes, saved, kept });
      current.nodes.push(node);
    } else if (differentiable && current !== undefined) current.touched = true;
    return mapValues(out, (view, name) => {
      view.storage.retain();
      return new Tensor(view, view.dtype, call.axes[name] ?? [], node && { node, out: name });
    });
  } finally {
    temps.free();
  }
}

function forward(
  op: Op<any>,
  kernel: AnyKernel | undefined,
  temps: Temps,
  at: { in: Named<View>; attrs: unknown; wants: Named<boolean> },
  shapes: { out: Named<Spec>; saved: Named<Spec> },
  donated: { readonly [name: string]: PropertyKey | undefined } | undefined,
): { out: Named<View>; saved: Named<View> } {
  if (kernel?.forward === undefined) {
    const made: { out: Named<View>; saved: Named<View> } = op.forward(new P(temps), at);
    for (const name of Object.keys(shapes.out)) agree(op.name, name, shapes.out[name], made.out[name]);
    for (const name of Object.keys(shapes.saved)) agree(op.name, name, shapes.saved[name], made.saved[name]);
    return made;
  }
  const takeOver = (name: string, want: Spec): View | undefined => {
    const from = donated && at.in[String(donated[name])];
    // the same tensor may be another input too, which the op or its backward reads later
    const once = Object.values(at.in).filter(({ storage }) => storage === from?.storage).length === 1;
    const fits = once && from?.storage.exclusive && from.dtype === want.dtype && sameShape(from.shape, want.shape);
    return fits ? from : undefined;
  };
  const out = mapValues(shapes.out, (want, name) => takeOver(name, want) ?? temps.alloc(want));
  const saved = mapValues(shapes.saved, (want) => temps.alloc(want));
  kernel.forward(temps.backend.context, { ...at, out, saved });
  return { out, saved };
}

/** Shape inference, its errors followed by the names of the axes, which specs do not have. */
function inferNamed(op: Op<any>, at: object, inputs: Named<Tensor>): { out: Named<Spec>; saved: Named<Spec> } {
  try {
    return op.infer(at as Parameters<typeof op.infer>[0]);
  } catch (error) {
    if (!FtError.is(error) || error.code !== "shape") throw error;
    const named = Object.entries(inputs).map(([name, x]) => `${name} ${x}`);
    throw new FtError("shape", error.message, `got ${named.join(", ")}`, { cause: error });
  }
}

interface Recorded {
  edges: Named<Edge | undefined>;
  attrs: unknown;
  wants: Named<boolean>;
  spec: Named<Spec>;
  shapes: { out: Named<Spec>; saved: Named<Spec> };
  saved: Named<View>;
  kept: Named<View | Remake>;
}

/** The tape's entry for one op: holds what the backward reads, and turns gradients of outputs into gradients of inputs. */
function record(op: Op<any>, kernel: AnyKernel | undefined, backend: Backend, r: Recorded): Node {
  const held = [...Object.values(r.kept), ...Object.values(r.saved)].map((x) => (x instanceof Remake ? x : x.storage));
  for (const holder of held) holder.retain();
  const { attrs, wants, spec, shapes, saved } = r;
  const keptViews = (): Named<View> => mapValues(r.kept, (x) => (x instanceof Remake ? x.view() : x));

  const back = (node: Node): void => {
    const temps = new Temps(backend);
    try {
      const p = new P(temps);
      const grad = mapValues(shapes.out, (want, name) => node.grads.get(name) ?? p.fill(want, 0));
      const at = { kept: keptViews(), saved, attrs, wants, grad, spec };
      const added = new Set<string>();
      const into = (name: string, candidate?: View): View => {
        const want = spec[name];
        if (want === undefined) throw new FtError("input", `[${op.name}] has no input ${name}`, "check the kernel");
        const free = backend.mutable && candidate?.storage.exclusive === true;
        const fits = free && candidate.dtype === want.dtype && sameShape(candidate.shape, want.shape);
        return fits ? candidate : temps.alloc(want);
      };
      const onto = (name: string, candidate?: View): { to: View; beta: 0 | 1 } => {
        const edge = r.edges[name];
        const have = edge?.node.grads.get(edge.out);
        if (!backend.mutable || !have?.storage.exclusive) return { to: into(name, candidate), beta: 0 };
        added.add(name);
        return { to: have, beta: 1 };
      };
      const made: Named<View> = kernel?.vjp
        ? { ...kernel.vjp(backend.context, { ...at, into, onto }) }
        : { ...op.vjp?.(p, at) };
      for (const [name, gradient] of Object.entries(made)) {
        const edge = r.edges[name];
        if (edge === undefined || added.has(name)) continue;
        agree(op.name, `gradient of ${name}`, spec[name], gradient);
        edge.node.add(edge.out, gradient);
      }
    } finally {
      temps.free();
    }
  };
  const drop = (): void => {
    for (const holder of held) holder.release();
  };
  const remake = (name: string): View => {
    const temps = new Temps(backend);
    try {
      const view = forward(op, kernel, temps, { in: keptViews(), attrs, wants }, shapes, undefined).out[name];
      if (view === undefined) throw new FtError("input", `[${op.name}] has no output ${name}`, "check the op");
      view.storage.retain();
      return view;
    } finally {
      temps.free();
    }
  };
  const remakes = op.remake
    ? Object.keys(shapes.out).map((name) => [name, new Remake(() => remake(name))] as const)
    : [];
  return new Node(op.name, back, drop, new Map(remakes));
}

function backendOf(op: string, inputs: Named<Tensor>): Backend {
  let backend: Backend | undefined;
  for (const name in inputs) {
    const other = inputs[name]!.backend;
    backend ??= other;
    if (other !== backend)
      throw new FtError("backend", `[${op}] inputs on ${backend.name} and ${other.name}`, "move one of them");
  }
  if (backend === undefined) throw new FtError("input", `[${op}] has no inputs`, "pass a tensor");
  return backend;
}

function checkDifferentiable(op: Op<any>, edges: Named<Edge | undefined>, inside: boolean): void {
  if (!inside)
    throw new FtError(
      "autograd",
      `[${op.name}] a result of valueAndGrad is used after it`,
      "return what you need from the function",
    );
  if (op.vjp === undefined) {
    const names = Object.keys(edges).filter((name) => edges[name] !== undefined);
    throw new FtError(
      "autograd",
      `[${op.name}] has no gradient, and ${names.join(", ")} needs one`,
      "use an op that has",
    );
  }
}

function agree(op: string, name: string, want: Spec | undefined, got: Spec | undefined): void {
  if (want && got && want.dtype === got.dtype && sameShape(want.shape, got.shape)) return;
  const show = (s: Spec | undefined): string => (s ? `${s.dtype} ${showShape(s.shape)}` : "nothing");
  throw new FtError(
    "shape",
    `[${op}] ${name} is ${show(got)}, inferred ${show(want)}`,
    "make infer agree with forward and vjp",
  );
}

function pick<V>(which: { readonly [name: string]: boolean | undefined }, from: Named<V>): Named<V> {
  return Object.fromEntries(Object.entries(from).filter(([name]) => which[name] === true));
}

/** Plain loops here and in dtype.ts: they run a dozen times an op, and a decoded token is some hundred ops. */
function mapValues<V, W>(record: Named<V>, fn: (value: V, name: string) => W): Named<W> {
  const out: Named<W> = {};
  for (const name in record) out[name] = fn(record[name]!, name);
  return out;
}
