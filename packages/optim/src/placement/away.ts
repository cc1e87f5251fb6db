import { type Backend, type DataOf, type DType, sizeOf, type Tensor, tensor } from "@ft/tensor";
import type { HeldSlot, Range, SlotSpec } from "./placement.ts";

/** The elements of a slot that is not on the backend. */
export interface Elements {
  /** Hands values to `use`, which must copy what it keeps. */
  read<R>(range: Range, use: (data: DataOf[DType]) => R): Promise<R>;
  write(range: Range, data: DataOf[DType]): Promise<void>;
}

/** A slot whose elements come to the backend for a step and go back. */
export function awaySlot(backend: Backend, { dtype, shape, axes }: SlotSpec, elements: Elements): HeldSlot {
  const all: Range = { start: 0, count: sizeOf(shape) };
  const fill = async (range: Range | undefined, x: Tensor): Promise<void> => {
    try {
      await elements.write(range ?? all, await x.read());
    } finally {
      x.dispose();
    }
  };
  return {
    dtype,
    shape,
    axes,
    divisible: true,
    take: (range) =>
      elements.read(range ?? all, (data) =>
        range ? tensor(backend, dtype, ["element"], [range.count], data) : tensor(backend, dtype, axes, shape, data),
      ),
    fill,
    async put(range, taken, next) {
      if (next !== taken) await fill(range, next);
      taken.dispose();
    },
    drop: (taken) => taken.dispose(),
    read: (range) => elements.read(range, (data) => data.slice()),
    write: (range, data) => elements.write(range, data),
  };
}
