/** How the sequences of a batch lie, as far as the choice of a plan goes. */
export type Sequences =
  | { readonly kind: "dense" }
  /** every run of equal ids is one sequence; there are at most `slots` of them */
  | { readonly kind: "packed"; readonly slots: number }
  /** an id comes back after another one, or nothing is known: no sequences in a row */
  | { readonly kind: "own" };

const own: Sequences = { kind: "own" };

/**
 * Reads the ids of a batch of rows of `seq`. The slots are rounded up to a power of two, so that batches with about as
 * many sequences share a plan; empty slots cost next to nothing.
 */
export function sequencesOf(ids: Int32Array, seq: number): Sequences {
  let runs = 0;
  for (let begin = 0; begin < ids.length; begin += seq) {
    const over = new Set<number>();
    for (let i = begin; i < begin + seq; i++) {
      const id = ids[i]!;
      if (i > begin && id === ids[i - 1]) continue;
      if (over.has(id)) return own;
      over.add(id);
      runs++;
    }
  }
  if (runs * seq === ids.length) return { kind: "dense" };
  return { kind: "packed", slots: 2 ** Math.ceil(Math.log2(runs)) };
}

/** Equal for batches that the same plan serves. */
export function nameOf(sequences: Sequences): string {
  return sequences.kind === "packed" ? `packed:${sequences.slots}` : sequences.kind;
}
