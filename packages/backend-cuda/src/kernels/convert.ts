import { bytesPerElement, type DType, sizeOf } from "@ft/tensor";
import { type Address, at, type CudaContext, type CudaView } from "../context.ts";
import { aligned, flatBlock, flatGrid } from "./alignment.ts";

/** Queues y = x in another float dtype (f32, bf16, f16), or a copy. */
export function convertInto(
  context: CudaContext,
  x: { readonly at: Address; readonly dtype: DType; readonly count: number },
  to: { readonly at: Address; readonly dtype: DType },
): void {
  if (x.dtype === to.dtype) {
    if (x.at !== to.at) context.copy(to.at, x.at, x.count * bytesPerElement[x.dtype]);
    return;
  }
  const args = [x.at, x.count, aligned(x.at, to.at), to.at];
  context.launch(`convert_${x.dtype}_${to.dtype}`, flatGrid(x.count, x.dtype, to.dtype), flatBlock, args);
}

/** Gives `fn` the values in a dtype: where they lie if they have it, else a converted copy in a work area. */
export function inDtype<R>(context: CudaContext, x: CudaView, dtype: DType, fn: (values: Address) => R): R {
  if (x.dtype === dtype) return fn(at(x));
  const count = sizeOf(x.shape);
  return context.scratch(count * bytesPerElement[dtype], (to) => {
    convertInto(context, { at: at(x), dtype: x.dtype, count }, { at: to, dtype });
    return fn(to);
  });
}

/** Gives `fn` where a result of this dtype is to be made, and converts it to the view's own dtype afterwards. */
export function fromDtype(context: CudaContext, view: CudaView, dtype: DType, fn: (to: Address) => void): void {
  if (view.dtype === dtype) {
    fn(at(view));
    return;
  }
  const count = sizeOf(view.shape);
  context.scratch(count * bytesPerElement[dtype], (to) => {
    fn(to);
    convertInto(context, { at: to, dtype, count }, { at: at(view), dtype: view.dtype });
  });
}

/** As inDtype() for two arrays of one dtype, in one launch where they are to be converted. */
export function bothInDtype<R>(
  context: CudaContext,
  [x0, x1]: readonly [CudaView, CudaView],
  dtype: DType,
  fn: (values0: Address, values1: Address) => R,
): R {
  if (x0.dtype !== x1.dtype || x0.dtype === dtype)
    return inDtype(context, x0, dtype, (values0) => inDtype(context, x1, dtype, (values1) => fn(values0, values1)));
  const [n0, n1] = [sizeOf(x0.shape), sizeOf(x1.shape)];
  // the second begins at a multiple of 16 bytes
  const first = Math.ceil((n0 * bytesPerElement[dtype]) / 16) * 16;
  return context.scratch(first + n1 * bytesPerElement[dtype], (to0) => {
    const to1 = to0 + BigInt(first);
    const blocks = flatGrid(Math.max(n0, n1), x0.dtype, dtype);
    const args = [x0, n0, x1, n1, aligned(x0, x1, to0, to1), to0, to1];
    context.launch(`convert_two_${x0.dtype}_${dtype}`, [blocks, 2], flatBlock, args);
    return fn(to0, to1);
  });
}
