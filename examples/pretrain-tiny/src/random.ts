import { philox } from "@ft/tensor";

/** Choices drawn one after the other from one counter-based stream. */
export interface Random {
  /** An integer from 0 to n - 1. */
  below(n: number): number;
  /** An integer from low to high, both included. */
  between(low: number, high: number): number;
  /** True with probability p. */
  chance(p: number): boolean;
  /** One element. */
  pick<T>(list: readonly T[]): T;
  /** `count` different elements in random order. */
  sample<T>(list: readonly T[], count: number): T[];
}

/** The stream of (seed, stream, index): row `index` of a corpus comes out the same however many rows are made. */
export function createRandom(seed: number, stream: number, index: number): Random {
  const uniform = philox(seed, stream, index);
  let drawn = 0;
  const below = (n: number): number => Math.floor(uniform(drawn++) * n);
  return {
    below,
    between: (low, high) => low + below(high - low + 1),
    chance: (p) => uniform(drawn++) < p,
    pick: (list) => list[below(list.length)]!,
    sample(list, count) {
      const rest = [...list];
      const chosen: (typeof rest)[number][] = [];
      while (chosen.length < count && rest.length > 0) chosen.push(...rest.splice(below(rest.length), 1));
      return chosen;
    },
  };
}
