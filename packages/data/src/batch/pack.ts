/**
 * Packs items into bins, best fit decreasing: the longest item first, each into the fullest bin that still holds it.
 * Equal lengths keep the order given, and equally full bins are taken oldest first, so the result is one function of its
 * arguments; the number of bins depends on the lengths alone.
 * @param order item indices in the order that breaks ties
 * @param lengths length by item index, each at most `capacity`
 * @returns item indices by bin
 */
export function packBestFit(order: ArrayLike<number>, lengths: ArrayLike<number>, capacity: number): number[][] {
  const lengthOf = (item: number): number => lengths[item] ?? 0;
  const sorted = Array.from(order).sort((a, b) => lengthOf(b) - lengthOf(a));
  const bins: number[][] = [];
  // Bins by room left, first in first out: room -> bin numbers.
  const byRoom: number[][] = Array.from({ length: capacity + 1 }, () => []);
  for (const item of sorted) {
    const length = lengthOf(item);
    let room = length;
    while (room <= capacity && (byRoom[room]?.length ?? 0) === 0) room++;
    const bin = room <= capacity ? byRoom[room]?.shift() : undefined;
    if (bin === undefined) {
      byRoom[capacity - length]?.push(bins.length);
      bins.push([item]);
    } else {
      bins[bin]?.push(item);
      byRoom[room - length]?.push(bin);
    }
  }
  return bins;
}
