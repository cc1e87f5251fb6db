import type { Slots } from "@ft/optim";
import { type FloatDType, run, type Tensor, wideOf } from "@ft/tensor";
import { castOp, dequantize8bitOp, type Map8bit, quantize8bitOp } from "@ft/tensor/ops";

/** How a slot is coded. */
export interface Coding {
  readonly map: Map8bit;
  readonly blockSize: number;
}

/** The slot beside `slot` that holds the largest magnitude of each block. */
const statistics = (slot: string): string => `${slot}.absmax`;

/** The names of the slots that are codes. */
export function codedSlots(slots: Slots): string[] {
  return Object.keys(slots).filter((slot) => slots[statistics(slot)] !== undefined);
}

/** Slots with the codes among them as floats again: f32, or f64 beside f64 parameters. Others are passed on. */
export function decodeSlots(slots: Slots, dtype: FloatDType, codingOf: (slot: string) => Coding): Slots {
  const coded = codedSlots(slots);
  const aside = coded.map(statistics);
  const out: { [slot: string]: Tensor } = {};
  for (const [slot, x] of Object.entries(slots))
    if (coded.includes(slot)) out[slot] = decode(x, slots[statistics(slot)]!, dtype, codingOf(slot));
    else if (!aside.includes(slot)) out[slot] = x;
  return out;
}

function decode(codes: Tensor, absmax: Tensor, dtype: FloatDType, coding: Coding): Tensor {
  const { y } = run(dequantize8bitOp, { in: { codes, absmax }, attrs: coding, axes: { y: codes.axes } });
  const wide = wideOf(dtype);
  if (wide === y.dtype) return y;
  const x = run(castOp, { in: { x: y }, attrs: { dtype: wide }, axes: { y: y.axes } }).y;
  y.dispose();
  return x;
}

/** Slots with those named `coded` as codes and their statistics; the floats are disposed. Others are passed on. */
export function encodeSlots(slots: Slots, coded: readonly string[], codingOf: (slot: string) => Coding): Slots {
  const out: { [slot: string]: Tensor } = {};
  for (const [slot, x] of Object.entries(slots)) {
    if (!coded.includes(slot)) {
      out[slot] = x;
      continue;
    }
    const coding = codingOf(slot);
    const { codes, absmax } = run(quantize8bitOp, {
      in: { x },
      attrs: { ...coding, sameSign: coding.map === "dynamic" },
      axes: { codes: x.axes, absmax: ["block"] },
    });
    out[slot] = codes;
    out[statistics(slot)] = absmax;
    x.dispose();
  }
  return out;
}
