/** How many n-grams of an order a sequence of some length has. */
export function countNgrams(length: number, order: number): number {
  return Math.max(0, length - order + 1);
}

/**
 * The n-grams of a prediction that its references have too, of each order from 1 up. An n-gram counts as often as it stands in
 * the prediction, but no more often than in the one reference that has it most often (BLEU's clipped counts).
 *
 * The n-grams of the references are the nodes of a trie, so that a longer one is found by one step from the one before.
 * @param sequences tokens or code points; equal ones are the same symbol
 */
export function matchNgrams<Unit>(
  prediction: readonly Unit[],
  references: readonly (readonly Unit[])[],
  maxOrder: number,
): number[] {
  const numbers = new Map<Unit, number>();
  const numbered = references.map((reference) => reference.map((symbol) => numberOf(numbers, symbol)));
  const width = numbers.size;

  // node 0 is the empty n-gram; children by node × width + symbol
  const children = new Map<number, number>();
  const limits = [0];
  for (const reference of numbered) {
    const seen = new Array<number>(limits.length).fill(0);
    for (let start = 0; start < reference.length; start++) {
      let node = 0;
      const end = Math.min(reference.length, start + maxOrder);
      for (let at = start; at < end; at++) {
        const key = node * width + (reference[at] ?? 0);
        const child = children.get(key);
        if (child === undefined) {
          node = limits.length;
          children.set(key, node);
          limits.push(1);
          seen.push(1);
        } else {
          node = child;
          const count = (seen[node] ?? 0) + 1;
          seen[node] = count;
          if (count > (limits[node] ?? 0)) limits[node] = count;
        }
      }
    }
  }

  const matches = new Array<number>(maxOrder).fill(0);
  const symbols = prediction.map((symbol) => numbers.get(symbol) ?? -1);
  for (let start = 0; start < symbols.length; start++) {
    let node = 0;
    const end = Math.min(symbols.length, start + maxOrder);
    for (let at = start; at < end; at++) {
      const symbol = symbols[at] ?? -1;
      if (symbol < 0) break;
      const child = children.get(node * width + symbol);
      if (child === undefined) break;
      node = child;
      const left = limits[node] ?? 0;
      if (left > 0) {
        limits[node] = left - 1;
        matches[at - start] = (matches[at - start] ?? 0) + 1;
      }
    }
  }
  return matches;
}

function numberOf<Unit>(numbers: Map<Unit, number>, symbol: Unit): number {
  const known = numbers.get(symbol);
  if (known !== undefined) return known;
  numbers.set(symbol, numbers.size);
  return numbers.size - 1;
}
