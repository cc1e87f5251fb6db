import { FtError, type Parameter, sameShape, scope, type Tensor, type WideDType, wideOf } from "@ft/tensor";
import type { AnyOptimizer, Place, Scalar, Slots } from "./optimizer.ts";
import { defaultRole, type Role } from "./role.ts";
import { wideScalar } from "./scalars.ts";

interface Entry {
  readonly name: string;
  readonly role: Role;
  readonly param: Parameter;
  slots: Slots;
}

/**
 * An optimizer at work on a map of parameters: it holds their slots, applies a step, saves and loads.
 * Make and step it outside scope(): slots must outlive the step. Dispose it to free the slots.
 */
export class OptimizerState implements Disposable {
  readonly optimizer: AnyOptimizer;
  readonly #entries: readonly Entry[];

  constructor(
    optimizer: AnyOptimizer,
    parameters: ReadonlyMap<string, Parameter>,
    role: (name: string, shape: readonly number[]) => Role = defaultRole,
  ) {
    this.optimizer = optimizer;
    this.#entries = [...parameters].map(([name, param]) => {
      const place: Place = { name, role: role(name, param.shape), param };
      return { name, role: place.role, param, slots: optimizer.init(place) };
    });
  }

  /**
   * One optimizer step, counted from 1. Parameters without a gradient stay as they are, slots too, as in torch.
   * The gradients remain the caller's.
   */
  step(grads: ReadonlyMap<string, Tensor>, at: { readonly step: number; readonly lr: number }): void {
    const numbers = Object.entries(this.optimizer.scalars(at));
    const made = new Map<WideDType, { [name: string]: Scalar }>();
    for (const entry of this.#entries) {
      const { name, role, param, slots } = entry;
      const grad = grads.get(name);
      if (grad === undefined) continue;
      const wide = wideOf(param.dtype);
      let scalars = made.get(wide);
      if (scalars === undefined) {
        scalars = Object.fromEntries(numbers.map(([key, value]) => [key, wideScalar(param.backend, wide, value)]));
        made.set(wide, scalars);
      }
      const at = { name, role, param, grad, slots, scalars };
      const next = scope(() => this.optimizer.step(at));
      if (next.param !== param) param.assign(next.param);
      for (const [slot, old] of Object.entries(slots)) if (next.slots[slot] !== old) old.dispose();
      entry.slots = next.slots;
    }
    for (const scalars of made.values()) for (const x of Object.values(scalars)) x.dispose();
  }

  /** Runs `fn` with the values to evaluate in place of those being trained, where the optimizer makes a difference. */
  async evaluating<T>(fn: () => Promise<T>): Promise<T> {
    const { optimizer } = this;
    const trained: { param: Parameter; value: Tensor }[] = [];
    try {
      if (optimizer.evaluated)
        for (const { param, ...at } of this.#entries) {
          const value = scope(() => optimizer.evaluated?.({ ...at, param }));
          if (value === undefined || value === param) continue;
          trained.push({ param, value: param.as(...param.axes) });
          param.assign(value);
        }
      return await fn();
    } finally {
      for (const { param, value } of trained) param.assign(value);
    }
  }

  /** The slots by "<slot>:<parameter>". They stay this object's: read them, do not dispose them. */
  save(): Map<string, Tensor> {
    return new Map(
      this.#entries.flatMap(({ name, slots }) => Object.entries(slots).map(([slot, x]) => [`${slot}:${name}`, x])),
    );
  }

  /** Takes over slots saved before, all of them; checked before the first is replaced. */
  load(saved: ReadonlyMap<string, Tensor>): void {
    const own = this.save();
    for (const [key, x] of own) {
      const found = saved.get(key);
      if (found === undefined)
        throw new FtError(
          "missing",
          `the optimizer state has no "${key}"`,
          `resume with the optimizer and the trainable parameters of that run (${this.optimizer.name} here)`,
        );
      if (found.dtype !== x.dtype || !sameShape(found.shape, x.shape))
        throw new FtError("shape", `[load] "${key}" is ${found}, not ${x}`, "resume the run it was saved by");
    }
    const extra = [...saved.keys()].find((key) => !own.has(key));
    if (extra !== undefined)
      throw new FtError(
        "input",
        `the optimizer state has "${extra}", which ${this.optimizer.name} does not have here`,
        "resume with the optimizer and the trainable parameters of that run",
      );
    for (const entry of this.#entries) {
      const next: { [slot: string]: Tensor } = {};
      for (const [slot, old] of Object.entries(entry.slots)) {
        next[slot] = saved.get(`${slot}:${entry.name}`) ?? old;
        if (next[slot] !== old) old.dispose();
      }
      entry.slots = next;
    }
  }

  dispose(): void {
    for (const { slots } of this.#entries) for (const x of Object.values(slots)) x.dispose();
  }
  [Symbol.dispose](): void {
    this.dispose();
  }
}
