import { defineKernel, type Kernel } from "@ft/tensor";
import {
  type Add,
  addOp,
  type Dropout,
  dropoutOp,
  type SumSquares,
  type SwiGlu,
  sumSquaresOp,
  swigluOp,
} from "@ft/tensor/ops";
import { allF32, type CpuContext, f32, i32, isStored, stored } from "../context.ts";

export const addKernel: Kernel<Add, CpuContext> = defineKernel(addOp, {
  accepts: ({ in: specs }) => allF32(specs),
  forward({ native }, { in: { a, b }, out: { y } }) {
    native.add_f32(f32(a), f32(b), f32(y), f32(y).length);
  },
});

/** One pass; the gradients overwrite gate and up when the tape alone holds them. */
export const swigluKernel: Kernel<SwiGlu, CpuContext> = defineKernel(swigluOp, {
  accepts: ({ in: specs }) => allF32(specs),
  forward({ native }, { in: { gate, up }, out: { y } }) {
    native.swiglu_fwd(f32(gate), f32(up), f32(y).length, f32(y));
  },
  vjp({ native }, { kept: { gate, up }, grad: { y }, into }) {
    const made = { gate: into("gate", gate), up: into("up", up) };
    native.swiglu_bwd(f32(gate), f32(up), f32(y), f32(y).length, f32(made.gate), f32(made.up));
    return made;
  },
});

export const dropoutKernel: Kernel<Dropout, CpuContext> = defineKernel(dropoutOp, {
  accepts: ({ in: specs, attrs }) => allF32(specs) && attrs.rate > 0,
  forward({ native }, { in: { x, step }, attrs: { rate, seed, stream }, out: { y } }) {
    native.dropout(f32(x), rate, seed, stream, i32(step)[0]!, f32(x).length, f32(y));
  },
  vjp({ native }, { kept: { step }, grad: { y }, attrs: { rate, seed, stream }, into }) {
    const x = into("x");
    native.dropout(f32(y), rate, seed, stream, i32(step)[0]!, f32(y).length, f32(x));
    return { x };
  },
});

/** values in 16 bits that are widened at a time */
const strip = 1 << 20;

/** In f64; values in 16 bits are widened by strips. */
export const sumSquaresKernel: Kernel<SumSquares, CpuContext> = defineKernel(sumSquaresOp, {
  accepts: ({ in: { x } }) => isStored(x),
  forward({ native, scratch }, { in: { x }, out: { y } }) {
    const [values, storage] = stored(x);
    if (values instanceof Float32Array) {
      f32(y)[0] = native.sumsq_f64(values, values.length);
      return;
    }
    let sum = 0;
    scratch(Math.min(strip, values.length), (work) => {
      for (let from = 0; from < values.length; from += work.length) {
        const part = values.subarray(from, Math.min(values.length, from + work.length));
        (storage === 1 ? native.cast_bf16_f32 : native.cast_f16_f32)(part, work, part.length);
        sum += native.sumsq_f64(work, part.length);
      }
    });
    f32(y)[0] = sum;
  },
});
