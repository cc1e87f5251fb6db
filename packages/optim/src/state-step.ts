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
  // loops without objects: a model has some hundred adapters, and a replayed step nothing else for the host to do
  const given: Tensor[] = [];
  const places: Tensor[] = [];
  for (const { name, window, param, slots } of entries) {
    const grad = grads.get(name);
    if (window !== undefined || grad === undefined) return false;
    given.push(grad);
    places.push(param);
    for (const slot in slots) {
      const value = slots[slot]!.held.take(undefined);
      if (value instanceof Promise) return false;
      places.push(value);
    }
  }
  for (const { view } of places) if (!view.storage.exclusive) return false;

  const numbers = new Set(entries.map(numbersOf));
  const scalars = [...numbers].flatMap(({ scalars, scale }) => [...Object.values(scalars), ...(scale ? [scale] : [])]);
  const replay = [...numbers].some(({ scale }) => scale) ? replays.scaled : replays.plain;
  replay.over(places).run([...given, ...scalars], () => {
    let at = 0;
    const parameters = entries.map(({ name, role, size, param, slots }, i) => {
      at++;
      const own = Object.fromEntries(Object.keys(slots).map((slot) => [slot, places[at++]!]));
      return { name, role, size, param, grad: given[i]!, slots: own };
    });
    const [same, ...others] = numbers;
    const together = same && others.length === 0 ? optimizer.stepEach?.(parameters, same) : undefined;
    for (const [i, entry] of entries.entries()) {
      const { param, grad: wholeGrad, slots } = parameters[i]!;
      const next =
        together?.[i] ?? nextOf(optimizer, entry, { param: entry.param, wholeGrad, slots }, numbersOf(entry));
      place(next.param, param);
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
