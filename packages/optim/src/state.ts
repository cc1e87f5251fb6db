import {
  copyInto,
  FtError,
  type Parameter,
  scope,
  sizeOf,
  type Tensor,
  type WideDType,
  wideOf,
  windowElements,
} from "@ft/tensor";
import type { AnyOptimizer, Scalar, Slots } from "./optimizer.ts";
import { placeOf } from "./placement/place-of.ts";
import type { HeldSlot, Placement, Range, SlotPlace } from "./placement/placement.ts";
import { defaultRole, type Role } from "./role.ts";
import { wideScalar } from "./scalars.ts";
import {
  checkSaved,
  layoutOf,
  ownMemory,
  rangesOf,
  type SavedSlot,
  type Subject,
  savedSlot,
  subjectOf,
  windowed,
  within,
} from "./state-slots.ts";
import { type Entry, type Numbers, nextOf, settle, stepAtOnce, stepReplays } from "./state-step.ts";

/** How an optimizer is put to work. */
export interface OptimizerStateOptions {
  /** what each parameter is for; `defaultRole` reads it off the name */
  readonly role?: (name: string, shape: readonly number[]) => Role;
  /** where slots lie between steps; "device" */
  readonly placement?: Placement;
  /** Parameters of more elements are stepped in windows of so many where the optimizer allows it; 4 Mi. */
  readonly window?: number;
}

/** Which step, and at which rate. */
export interface StepAt {
  /** counted from 1 */
  readonly step: number;
  readonly lr: number;
  /** a factor on every gradient, as clipping has it: one pass over them less; 1 */
  readonly gradScale?: number;
}

/**
 * An optimizer at work on a map of parameters: it holds their slots, applies a step, saves and loads. Parameters larger
 * than a window are stepped window by window, so that what a step makes on its way stays small; the results are the
 * same. Make and step it outside scope(): slots must outlive the step. Dispose it to free the slots.
 */
export class OptimizerState implements Disposable {
  readonly optimizer: AnyOptimizer;
  readonly #place: SlotPlace;
  readonly #entries: readonly Entry[];
  readonly #replays = stepReplays();
  #begun: Promise<void> | undefined;

  /** Code "io" when the file of `placement` cannot be made. */
  constructor(
    optimizer: AnyOptimizer,
    parameters: ReadonlyMap<string, Parameter>,
    { role = defaultRole, placement = "device", window = windowElements }: OptimizerStateOptions = {},
  ) {
    this.optimizer = optimizer;
    this.#place = placeOf(placement);
    const entries: Entry[] = [];
    this.#entries = entries;
    try {
      for (const [name, param] of parameters)
        entries.push(this.#enter(subjectOf(optimizer, name, param, role, window)));
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /** Makes room for a parameter's slots, as its first window has them. Only whole slots on the backend have values then. */
  #enter(subject: Subject): Entry {
    const [range] = rangesOf(subject);
    const made = this.#initial(subject, range);
    const first = range === undefined && this.#place.resident;
    const slots: { [slot: string]: { held: HeldSlot; per: number } } = {};
    try {
      for (const [slot, x] of Object.entries(made)) {
        const { spec, per } = layoutOf(this.optimizer, subject, range, slot, x);
        slots[slot] = { held: this.#place.hold(subject.param.backend, spec, first ? x : undefined), per };
      }
    } finally {
      if (!first) for (const x of Object.values(made)) x.dispose();
    }
    return { ...subject, slots };
  }

  #initial({ name, role, size, param }: Subject, range: Range | undefined): Slots {
    return scope(() => this.optimizer.init({ name, role, size, param: range ? windowed(param, range) : param }));
  }

  /**
   * Gives slots their first values where that takes time. Step, save and load see to it themselves: call it to hear early
   * that the disk has no room (code "io").
   */
  ready(): Promise<void> {
    this.#begun ??= this.#begin();
    return this.#begun;
  }

  async #begin(): Promise<void> {
    this.#place.reserve();
    for (const entry of this.#entries) {
      if (entry.window === undefined && this.#place.resident) continue;
      for (const range of rangesOf(entry)) {
        const made = this.#initial(entry, range);
        for (const [slot, { held, per }] of Object.entries(entry.slots)) {
          const x = made[slot];
          if (x) await held.fill(within(range, per), x);
        }
      }
    }
  }

  /**
   * One optimizer step. Consumes the gradients: each is freed once it was applied, the largest last. Parameters without a
   * gradient stay as they are, slots too, as in torch. After an error (code "io" from slots in a file) parameters and
   * slots are of different steps: go on from what was saved before.
   */
  async step(grads: ReadonlyMap<string, Tensor>, at: StepAt): Promise<void> {
    const made = new Map<WideDType, Numbers>();
    try {
      await this.ready();
      const numbers = Object.entries(this.optimizer.scalars(at));
      const numbersOf = ({ param }: Entry): Numbers => {
        const wide = wideOf(param.dtype);
        const scalar = (value: number): Scalar => wideScalar(param.backend, wide, value);
        const known = made.get(wide) ?? {
          scalars: Object.fromEntries(numbers.map(([key, value]) => [key, scalar(value)])),
          scale: at.gradScale === undefined ? undefined : scalar(at.gradScale),
        };
        made.set(wide, known);
        return known;
      };
      if (this.#place.resident && stepAtOnce(this.optimizer, this.#entries, grads, numbersOf, this.#replays)) return;
      for (const entry of [...this.#entries].sort((a, b) => a.size - b.size)) {
        const grad = grads.get(entry.name);
        if (grad === undefined) continue;
        const known = numbersOf(entry);
        for (const range of rangesOf(entry)) await this.#apply(entry, grad, range, known);
        grad.dispose();
      }
    } finally {
      for (const { scalars, scale } of made.values()) for (const x of [...Object.values(scalars), scale]) x?.dispose();
      for (const grad of grads.values()) grad.dispose();
    }
  }

  /** The step of one parameter, or of a window of it. */
  async #apply(entry: Entry, wholeGrad: Tensor, range: Range | undefined, numbers: Numbers): Promise<void> {
    const { param: whole } = entry;
    const slots: { [slot: string]: Tensor } = {};
    const held = Object.entries(entry.slots);
    if (range) ownMemory(whole);
    const param = range ? windowed(whole, range) : whole;
    try {
      for (const [slot, { held: x, per }] of held) slots[slot] = await x.take(within(range, per));
      const next = nextOf(this.optimizer, entry, { param, wholeGrad, slots, range }, numbers);
      if (range) {
        copyInto(next.param, param);
        next.param.dispose();
      } else if (next.param !== whole) settle(next.param, whole);
      for (const [slot, { held: x, per }] of held) {
        const before = slots[slot];
        if (before === undefined) continue;
        delete slots[slot];
        await x.put(within(range, per), before, next.slots[slot] ?? before);
      }
    } finally {
      if (range) param.dispose();
      for (const [slot, { held: x }] of held) if (slots[slot]) x.drop(slots[slot]);
    }
  }

  /** Runs `fn` with the values to evaluate in place of those being trained, where the optimizer makes a difference. */
  async evaluating<T>(fn: () => Promise<T>): Promise<T> {
    const { optimizer } = this;
    const trained: { param: Parameter; value: Tensor }[] = [];
    try {
      if (optimizer.evaluated) {
        await this.ready();
        for (const { name, role, size, param, slots: held } of this.#entries) {
          const slots: { [slot: string]: Tensor } = {};
          for (const [slot, { held: x }] of Object.entries(held)) slots[slot] = await x.take(undefined);
          const value = scope(() => {
            const found = optimizer.evaluated?.({ name, role, size, param, slots });
            return found && Object.values(slots).includes(found) ? found.as(...found.axes) : found;
          });
          for (const [slot, { held: x }] of Object.entries(held)) if (slots[slot]) x.drop(slots[slot]);
          if (value === undefined || value === param) continue;
          trained.push({ param, value: param.as(...param.axes) });
          param.assign(value);
        }
      }
      return await fn();
    } finally {
      for (const { param, value } of trained) param.assign(value);
    }
  }

  /** The slots by "<slot>:<parameter>", each to be read when its turn comes. */
  save(): Map<string, SavedSlot> {
    return new Map(this.#held().map(([key, held]) => [key, savedSlot(held, () => this.ready())]));
  }

  /** Reads slots saved before, all of them, one after the other; what fits is known before the first is replaced. */
  async load(saved: ReadonlyMap<string, SavedSlot>): Promise<void> {
    const slots = new Map(this.#held());
    for (const [key, own] of slots) checkSaved(this.optimizer, key, own, saved.get(key));
    const extra = [...saved.keys()].find((key) => !slots.has(key));
    if (extra !== undefined)
      throw new FtError(
        "input",
        `the optimizer state has "${extra}", which ${this.optimizer.name} does not have here`,
        "resume with the optimizer and the trainable parameters of that run",
      );
    if (this.#begun === undefined) this.#place.reserve();
    this.#begun = Promise.resolve();
    for (const [key, held] of slots) {
      const from = saved.get(key);
      let start = 0;
      if (held.divisible && from?.pieces)
        for await (const data of from.pieces()) {
          await held.write({ start, count: data.length }, data);
          start += data.length;
        }
      else if (from) await held.write({ start: 0, count: sizeOf(held.shape) }, await from.read());
    }
  }

  #held(): (readonly [key: string, held: HeldSlot])[] {
    return this.#entries.flatMap(({ name, slots }) =>
      Object.entries(slots).map(([slot, { held }]) => [`${slot}:${name}`, held] as const),
    );
  }

  dispose(): void {
    for (const replay of Object.values(this.#replays)) replay.dispose();
    this.#place.dispose();
  }
  [Symbol.dispose](): void {
    this.dispose();
  }
}
