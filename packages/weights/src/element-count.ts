/**
 * The product of the sizes of a shape from a file, or undefined when it is not exact. A size of 0 does not excuse the others: code
 * that multiplies them in another order, or takes the size of a row, would overflow.
 */
export function elementCount(shape: readonly number[]): number | undefined {
  let product = 1;
  for (const size of shape) {
    product *= Math.max(size, 1);
    if (!Number.isSafeInteger(product)) return undefined;
  }
  return shape.includes(0) ? 0 : product;
}
