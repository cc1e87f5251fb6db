import { copyInto, type FloatDType, type Parameter, Replay, scope, type Tensor } from "@ft/tensor";
import { widened } from "./clip/widened.ts";
import type { AnyOptimizer, Scalar, Slots } from "./optimizer.ts";
import type { HeldSlot, Range } from "./placement/placement.ts";
import { type Subject, windowed } from "./state-slots.ts";

/** A parameter with its slots. */
export interface Entry extends Subject {
  readonly slots: { readonly [slot: string]: { readonly held: HeldSlot; readonly per: number } };
}

/** The numbers of a step, as the parameters of one dtype take them: made once a step. */
export interface Numbers {
  readonly scalars: { readonly [name: string]: Scalar };
  readonly scale: Scalar | undefined;
}

/** What the optimizer makes of a parameter, or of the window `range` of it, which `param` and `slots` are then. */
export function nextOf(
  optimizer: AnyOptimizer,
  { name, role, size }: Subject,
  {
    range,
    wholeGrad,
    ...at
  }: {
    readonly param: Tensor<FloatDType>;
    readonly wholeGrad: Tensor;
    readonly slots: Slots;
    readonly range?: Range | undefined;
  },
  { scalars, scale }: Numbers,
): { readonly param: Tensor<FloatDType>; readonly slots: Slots } {
  return scope(() => {
    const part = range ? windowed(wholeGrad, range) : wholeGrad;
    const grad = scale ? widened(part, scale) : part;
    return optimizer.step({ name, role, size, ...at, ...(range && { start: range.start }), grad, scalars });
  });
}

/** A step with a factor on the gradients is another function than one without. */
export interface StepReplays {
  readonly plain: Replay;
  readonly scaled: Replay;
}

export function stepReplays(): StepReplays {
  return { plain: new Replay("optimizer step"), scaled: new Replay("optimizer step") };
}

/**
 * A whole step as one function that the backend may record and replay. False, and nothing is done, where that is not to be:
 * it wants slots on the backend, parameters of one window each, as adapters are, and every value in memory of its own.
 */
export function stepAtOnce(
  optimizer: AnyOptimizer,
  entries: readonly Entry[],
  grads: ReadonlyMap<string, Tensor>,
  numbersOf: (entry: Entry) => Numbers,
  replays: StepReplays,
): boolean {
  if (entries[0]?.param.backend.graphs === undefined) return false;
  const parts: { entry: Entry; grad: Tensor; slots: { [slot: string]: Tensor } }[] = [];
  for (const entry of entries) {
    const grad = grads.get(entry.name);
    if (entry.window !== undefined || grad === undefined) return false;
    const slots: { [slot: string]: Tensor } = {};
    for (const [slot, { held }] of Object.entries(entry.slots)) {
      const value = held.take(undefined);
      if (value instanceof Promise) return false;
      slots[slot] = value;
    }
    parts.push({ entry, grad, slots });
  }
  const places = parts.flatMap(({ entry, slots }) => [entry.param, ...Object.values(slots)]);
  if (!places.every(({ view }) => view.storage.exclusive)) return false;

  const numbers = new Set(entries.map(numbersOf));
  const scalars = [...numbers].flatMap(({ scalars, scale }) => [...Object.values(scalars), ...(scale ? [scale] : [])]);
  const replay = [...numbers].some(({ scale }) => scale) ? replays.scaled : replays.plain;
  replay.over(places).run([...parts.map(({ grad }) => grad), ...scalars], () => {
    for (const { entry, grad, slots } of parts) {
      const next = nextOf(optimizer, entry, { param: entry.param, wholeGrad: grad, slots }, numbersOf(entry));
      place(next.param, entry.param);
      for (const [slot, value] of Object.entries(slots)) place(next.slots[slot] ?? value, value);
    }
    return new Map();
  });
  return true;
}

/** Gives a parameter its next value: where recorded work looks for it, if the backend records, else by taking it over. */
export function settle(next: Tensor, param: Parameter): void {
  const { storage } = param.view;
  if (storage.backend.graphs === undefined || !storage.exclusive) param.assign(next);
  else place(next, param);
}

/** Brings the next value to where the current one is, unless it was made there. */
function place(next: Tensor, current: Tensor): void {
  if (next === current) return;
  copyInto(next, current);
  next.dispose();
}
