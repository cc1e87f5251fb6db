import { type Aside, hold } from "./aside.ts";
import type { View } from "./backend.ts";
import type { DType, FloatDType } from "./dtype.ts";
import { FtError } from "./error.ts";
import { Temps } from "./memory.ts";
import { P } from "./prims.ts";
import type { Remake } from "./remake.ts";
import { scope } from "./scope.ts";
import { type Axes, Tensor } from "./tensor.ts";

/** One recorded op, a checkpoint, or a leaf. Collects gradients of its outputs by name. */
export class Node {
  readonly name: string;
  readonly grads: Map<string, View> = new Map();
  /** outputs that are made again rather than kept, by name */
  readonly remakes: ReadonlyMap<string, Remake>;
  readonly #back: ((node: Node) => void) | undefined;
  readonly #drop: (() => void) | undefined;

  /** @param back hands gradients on to the inputs; @param drop releases what was kept, exactly once */
  constructor(
    name: string,
    back?: (node: Node) => void,
    drop?: () => void,
    remakes: ReadonlyMap<string, Remake> = new Map(),
  ) {
    this.name = name;
    this.remakes = remakes;
    this.#back = back;
    this.#drop = drop;
  }

  add(output: string, grad: View): void {
    const have = this.grads.get(output);
    if (have === undefined) {
      grad.storage.retain();
      this.grads.set(output, grad);
      return;
    }
    const { backend } = have.storage;
    if (have.storage.exclusive && backend.mutable) {
      backend.primitives.binary({ a: have, b: grad }, { kind: "add" }, have);
      return;
    }
    const temps = new Temps(backend);
    const sum = new P(temps).add(have, grad);
    sum.storage.retain();
    temps.free();
    have.storage.release();
    this.grads.set(output, sum);
  }

  /** Runs the backward if any gradient arrived. */
  back(): void {
    if (this.grads.size > 0) this.#back?.(this);
  }

  /** Frees what was kept for the backward, and the gradients that arrived. */
  drop(): void {
    this.#drop?.();
    for (const grad of this.grads.values()) grad.storage.release();
    this.grads.clear();
  }
}

/** Where the gradient of a tensor goes: an output of a node. */
export interface Edge {
  readonly node: Node;
  readonly out: string;
}

export class Tape {
  readonly nodes: Node[] = [];
  /** inputs of checkpoints that were set aside, in the order of the forward */
  readonly aside: Aside[] = [];
  /** whether cheap outputs are made again in the backward; inside checkpoint() they were just made, and soon go */
  readonly remakes: boolean;
  /** inside checkpoint(): ops run, nothing is recorded */
  paused = false;
  /** something that needs a gradient was used while paused */
  touched = false;

  constructor(remakes: boolean) {
    this.remakes = remakes;
  }

  /** Newest first; each node frees what it kept as soon as it has run. */
  backward(): void {
    for (let node = this.nodes.pop(); node !== undefined; node = this.nodes.pop()) {
      try {
        node.back();
      } finally {
        node.drop();
      }
    }
  }

  discard(): void {
    for (const node of this.nodes.splice(0)) node.drop();
  }
}

let current: Tape | undefined;

/** @internal the tape that ops record on, if any */
export function tape(): Tape | undefined {
  return current;
}

function recordingOn<R>(on: Tape, fn: () => R): R {
  const before = current;
  current = on;
  try {
    return fn();
  } finally {
    current = before;
  }
}

/** What valueAndGrad gives back. The caller disposes both, or leaves them to a scope. */
export interface ValueAndGrad<D extends FloatDType> {
  readonly value: Tensor<D, readonly []>;
  /** by parameter name; a parameter that the value does not depend on is absent */
  readonly grads: Map<string, Tensor>;
}

/**
 * The value of `fn` and its gradient by parameter name. Parameters are leaves by identity: `fn` closes over a model
 * that holds the very tensors of the map. First-order gradients only. Tensors made in `fn` live until the backward is
 * over, since checkpoint() may need them again; wrap large parts in scope() to free theirs at once.
 */
export function valueAndGrad<D extends FloatDType>(
  params: ReadonlyMap<string, Tensor>,
  fn: () => Tensor<D, readonly []>,
): ValueAndGrad<D> {
  if (current !== undefined)
    throw new FtError(
      "autograd",
      "[valueAndGrad] called inside another",
      "second derivatives are not supported; call it once per loss",
    );
  const recorded = new Tape(true);
  const leaves = new Map([...params].map(([name, param]) => [name, { param, node: new Node(name) }]));
  for (const [name, { param, node }] of leaves) param.edge = { node, out: name };
  try {
    return scope(() => {
      const value = recordingOn(recorded, fn);
      backwardFrom(value, recorded);
      const grads = new Map<string, Tensor>();
      for (const [name, { param, node }] of leaves) {
        const grad = node.grads.get(name);
        if (grad === undefined) continue;
        grad.storage.retain();
        grads.set(name, new Tensor(grad, grad.dtype, param.axes));
      }
      return { value, grads };
    });
  } finally {
    recorded.discard();
    for (const { param, node } of leaves.values()) {
      node.drop();
      param.edge = undefined;
    }
  }
}

/** Seeds the loss with 1 and runs the tape backwards. */
function backwardFrom(value: Tensor, recorded: Tape): void {
  if (value.shape.length > 0)
    throw new FtError("autograd", `[valueAndGrad] the loss is ${value}`, "return a scalar: sum or average first");
  if (value.edge === undefined)
    throw new FtError(
      "autograd",
      "[valueAndGrad] the loss reaches no parameter",
      "pass the map whose tensors the model holds",
    );
  seed(value, value.edge);
  value.edge = undefined;
  recorded.backward();
}

function seed(loss: Tensor, edge: Edge): void {
  const temps = new Temps(loss.backend);
  edge.node.add(edge.out, new P(temps).fill({ dtype: loss.dtype, shape: loss.shape }, 1));
  temps.free();
}

/** How checkpoint() keeps its input. */
export interface CheckpointOptions {
  /** The input lies in the host's memory until the backward, where the backend can: one layer's is on the card, not all. */
  readonly offload?: boolean;
}

/**
 * `fn(x)` that keeps nothing but `x`: the backward runs `fn` again (Chen et al. 2016, "Training deep nets with
 * sublinear memory cost"). Bitwise equal to not doing so. Tensors that `fn` closes over must stay alive until then.
 */
export function checkpoint<D extends DType, A extends Axes, E extends DType, B extends Axes>(
  fn: (x: Tensor<D, A>) => Tensor<E, B>,
  x: Tensor<D, A>,
  { offload = false }: CheckpointOptions = {},
): Tensor<E, B> {
  const outer = current;
  if (outer === undefined || outer.paused) return scope(() => fn(x));
  outer.paused = true;
  outer.touched = false;
  let y: Tensor<E, B>;
  try {
    y = scope(() => fn(x));
  } finally {
    outer.paused = false;
  }
  if (!outer.touched) return y;

  const { dtype, axes, edge } = x;
  const held = hold(x.view, offload ? outer.aside : undefined);
  const back = (node: Node): void => {
    const grad = node.grads.get("y");
    if (grad === undefined) return;
    const inner = new Tape(false);
    const leaf = new Node("checkpoint input");
    try {
      const view = held.view();
      scope(() => {
        view.storage.retain();
        const again = recordingOn(inner, () => fn(new Tensor(view, dtype, axes, edge && { node: leaf, out: "x" })));
        again.edge?.node.add(again.edge.out, grad);
        inner.backward();
      });
      const gx = leaf.grads.get("x");
      if (gx !== undefined && edge !== undefined) edge.node.add(edge.out, gx);
    } finally {
      inner.discard();
      leaf.drop();
    }
  };
  const node = new Node("checkpoint", back, () => held.drop());
  outer.nodes.push(node);
  y.edge = { node, out: "y" };
  return y;
}
