import {
  copyInto,
  defineOp,
  hasWindows,
  type Op,
  run,
  scope,
  sizeOf,
  type Tensor,
  type View,
  wideOf,
  windowElements,
  windowOf,
} from "@ft/tensor";
import { addOp, castOp } from "@ft/tensor/ops";

type AddWide = { in: { sum: View; x: View }; out: { y: View }; attrs: {}; keeps: {}; saved: {} };

/** sum + x in the dtype of the sum. */
const addWideOp: Op<AddWide> = defineOp<AddWide>({
  name: "trainer/addWide",
  keeps: () => ({}),
  inPlace: { y: "sum" },
  infer: ({ in: { sum } }) => ({ out: { y: sum }, saved: {} }),
  forward: (p, { in: { sum, x } }) => ({ out: { y: p.add(sum, p.cast(x, sum.dtype)) }, saved: {} }),
});

/**
 * Adds new gradients to those so far, name by name; both are consumed. Gradients in 16 bits are summed in f32, where
 * small ones are not lost beside a large sum: from the second micro-batch on they take twice the memory.
 */
export function accumulate(
  sofar: ReadonlyMap<string, Tensor>,
  fresh: ReadonlyMap<string, Tensor>,
): Map<string, Tensor> {
  if (sofar.size === 0) return new Map(fresh);
  const sums = new Map(sofar);
  for (const [name, grad] of fresh) {
    const have = sums.get(name);
    sums.set(name, have === undefined ? grad : added(have, grad));
    if (have !== undefined) grad.dispose();
  }
  return sums;
}

/** The sum; `have` is consumed. */
function added(have: Tensor, grad: Tensor): Tensor {
  if (wideOf(grad.dtype) === grad.dtype) {
    const { y } = run(addOp, { in: { a: have, b: grad }, attrs: {}, axes: { y: have.axes } });
    have.dispose();
    return y;
  }
  const sum = wideOf(have.dtype) === have.dtype ? have : widen(have);
  if (sum !== have) have.dispose();
  const size = sizeOf(sum.shape);
  if (size <= windowElements || !hasWindows(sum.backend) || !sum.view.storage.exclusive) return replaced(sum, grad);
  for (let start = 0; start < size; start += windowElements)
    scope(() => {
      const count = Math.min(windowElements, size - start);
      const [into, from] = [windowOf(sum, start, count), windowOf(grad, start, count)];
      if (into && from) copyInto(addWide(into, from, true), into);
    });
  return sum;
}

function replaced(sum: Tensor, grad: Tensor): Tensor {
  const y = addWide(sum, grad, false);
  sum.dispose();
  return y;
}

function addWide(sum: Tensor, x: Tensor, donate: boolean): Tensor {
  return run(addWideOp, { in: { sum, x }, attrs: {}, axes: { y: sum.axes }, donate }).y;
}

function widen(x: Tensor): Tensor {
  return run(castOp, { in: { x }, attrs: { dtype: "f32" }, axes: { y: x.axes } }).y;
}
