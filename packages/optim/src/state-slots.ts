import {
  copyInto,
  type DataOf,
  type DType,
  FtError,
  hasWindows,
  type Parameter,
  sameShape,
  showShape,
  sizeOf,
  type Tensor,
  windowElements,
  windowOf,
  zeros,
} from "@ft/tensor";
import type { AnyOptimizer } from "./optimizer.ts";
import type { HeldSlot, Range, SlotSpec } from "./placement/placement.ts";
import type { Role } from "./role.ts";

/** A parameter under an optimizer, and the elements of a window where it is stepped in windows. */
export interface Subject {
  readonly name: string;
  readonly role: Role;
  readonly param: Parameter;
  readonly size: number;
  readonly window: number | undefined;
}

/** Windows are whole groups: only then does a window's step give what the whole one does. */
export function subjectOf(
  { group }: AnyOptimizer,
  name: string,
  param: Parameter,
  role: (name: string, shape: readonly number[]) => Role,
  window: number,
): Subject {
  const size = sizeOf(param.shape);
  const whole = group === undefined || size <= window || !hasWindows(param.backend);
  const groups = whole ? 0 : Math.max(1, Math.floor(window / group));
  return { name, role: role(name, param.shape), param, size, window: whole ? undefined : groups * group };
}

/** The windows of a parameter in order; undefined, once, where it is stepped as a whole. */
export function* rangesOf({ size, window }: Subject): Generator<Range | undefined, void, undefined> {
  if (window === undefined) yield undefined;
  else for (let start = 0; start < size; start += window) yield { start, count: Math.min(window, size - start) };
}

/** The stretch of a slot that belongs to a window, for a slot of one value per `per` elements. */
export function within(range: Range | undefined, per: number): Range | undefined {
  return range && { start: range.start / per, count: Math.ceil(range.count / per) };
}

/** A window of a tensor whose backend has windows. */
export function windowed<D extends DType>(x: Tensor<D>, { start, count }: Range): Tensor<D> {
  const window = windowOf(x, start, count);
  if (window) return window;
  throw new FtError("unsupported", `[optimizer] ${x.backend.name} has no windows`, "step whole tensors");
}

/** Gives a parameter memory of its own where somebody else holds it too: windows are written in place. */
export function ownMemory(param: Parameter): void {
  if (param.view.storage.exclusive) return;
  const own = zeros(param.backend, param.dtype, param.axes, param.shape);
  copyInto(param, own);
  param.assign(own);
}

/** What the whole slot is, given what the optimizer made for a window, and how many elements share one of its values. */
export function layoutOf(
  { name, group = 1 }: AnyOptimizer,
  { size, param, ...of }: Subject,
  range: Range | undefined,
  slot: string,
  { dtype, axes, shape }: Tensor,
): { readonly spec: SlotSpec; readonly per: number } {
  if (range === undefined) return { spec: { dtype, axes, shape }, per: 1 };
  if (shape.length === 1 && shape[0] === range.count)
    return { spec: { dtype, axes: param.axes, shape: param.shape }, per: 1 };
  if (shape.length === 1 && shape[0] === Math.ceil(range.count / group))
    return { spec: { dtype, axes, shape: [Math.ceil(size / group)] }, per: group };
  throw new FtError(
    "config",
    `${name} has group ${group}, but its slot "${slot}" is ${showShape(shape)} for ${range.count} elements of ${of.name}`,
    "a slot holds one value per element or one per group; leave group out where it does not",
  );
}

/** A slot that was saved, or is to be: a tensor is one. */
export interface SavedSlot extends SlotSpec {
  read(): Promise<DataOf[DType]>;
  /** the same, row-major, in pieces, so that it need not be in memory as a whole */
  pieces?(): AsyncIterable<DataOf[DType]>;
}

/** A slot for saving; `ready` is awaited before it is read. */
export function savedSlot(held: HeldSlot, ready: () => Promise<void>): SavedSlot {
  const size = sizeOf(held.shape);
  const step = held.divisible ? windowElements : size;
  return {
    dtype: held.dtype,
    axes: held.axes,
    shape: held.shape,
    async read() {
      await ready();
      return held.read({ start: 0, count: size });
    },
    async *pieces() {
      await ready();
      for (let start = 0; start < size; start += step)
        yield await held.read({ start, count: Math.min(step, size - start) });
    },
  };
}

/** Throws unless what was saved for a slot is there and fits it. */
export function checkSaved(optimizer: AnyOptimizer, key: string, own: HeldSlot, found: SavedSlot | undefined): void {
  if (found === undefined)
    throw new FtError(
      "missing",
      `the optimizer state has no "${key}"`,
      `resume with the optimizer and the trainable parameters of that run (${optimizer.name} here)`,
    );
  if (found.dtype !== own.dtype || !sameShape(found.shape, own.shape)) {
    const show = ({ dtype, axes, shape }: SavedSlot | HeldSlot): string =>
      `${dtype} ${axes.join("×")} = ${shape.join("×")}`;
    throw new FtError("shape", `[load] "${key}" is ${show(found)}, not ${show(own)}`, "resume the run it was saved by");
  }
}
