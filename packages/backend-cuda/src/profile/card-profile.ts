import type { CardObserver } from "./timing.ts";

/** What a step's time goes into. */
export type CardWork = "products" | "attention" | "dequantise" | "optimizer" | "loss" | "elementwise";

/** Time under one name or of one kind of work. */
export interface CardTime {
  readonly name: string;
  readonly calls: number;
  readonly milliseconds: number;
}

/** Adds up where the time goes: pass `observe` to createCudaBackend. */
export interface CardProfile {
  readonly observe: CardObserver;
  /** by name, the longest first */
  times(): readonly CardTime[];
  /** by kind of work, the longest first */
  kinds(): readonly CardTime[];
  reset(): void;
}

const kinds: readonly (readonly [pattern: RegExp, kind: CardWork])[] = [
  [/^multiply/, "products"],
  [/attention|^cudnn|segment/, "attention"],
  [/quantize/, "dequantise"],
  [/^(adam|adamw|lion|sgd|rmsprop)|sum_squares/, "optimizer"],
  [/cross_entropy|^loss/, "loss"],
];

/** The kind of work behind a name. */
export function kindOf(name: string): CardWork {
  return kinds.find(([pattern]) => pattern.test(name))?.[1] ?? "elementwise";
}

/** A profile that has heard nothing yet. */
export function cardProfile(): CardProfile {
  const times = new Map<string, { calls: number; milliseconds: number }>();
  const sorted = (entries: ReadonlyMap<string, { calls: number; milliseconds: number }>): CardTime[] =>
    [...entries].map(([name, time]) => ({ name, ...time })).sort((a, b) => b.milliseconds - a.milliseconds);
  const add = (
    to: Map<string, { calls: number; milliseconds: number }>,
    name: string,
    calls: number,
    ms: number,
  ): void => {
    const time = to.get(name) ?? { calls: 0, milliseconds: 0 };
    to.set(name, { calls: time.calls + calls, milliseconds: time.milliseconds + ms });
  };
  return {
    observe: (name, milliseconds) => add(times, name, 1, milliseconds),
    times: () => sorted(times),
    kinds() {
      const sums = new Map<string, { calls: number; milliseconds: number }>();
      for (const [name, { calls, milliseconds }] of times) add(sums, kindOf(name), calls, milliseconds);
      return sorted(sums);
    },
    reset: () => times.clear(),
  };
}
