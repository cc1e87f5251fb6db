import { FtError, philox } from "@ft/tensor";

/** Reproducible random choices for generated cases: the same seed gives the same case on every machine. */
export interface Random {
  /** in [0, 1) */
  uniform(): number;
  /** a whole number, both ends included */
  int(low: number, high: number): number;
  /** standard normal */
  normal(): number;
  chance(probability: number): boolean;
  pick<T>(items: readonly T[]): T;
  list<T>(count: number, make: (i: number) => T): T[];
}

/** A stream of random choices from Philox under (seed, stream). */
export function randomFrom(seed: number, stream = 0): Random {
  const draw = philox(seed, stream, 0);
  let next = 0;
  const uniform = (): number => draw(next++);
  const random: Random = {
    uniform,
    int: (low, high) => low + Math.floor(uniform() * (high - low + 1)),
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
    chance: (probability) => uniform() < probability,
    pick(items) {
      const item = items[Math.floor(uniform() * items.length)];
      if (item === undefined) throw new FtError("input", "[random] nothing to pick from", "pass at least one item");
      return item;
    },
    list: (count, make) => Array.from({ length: count }, (_, i) => make(i)),
  };
  return random;
}
