import type { FloatDType } from "@ft/tensor";
import {
  dequantize4bit,
  dequantize4bitOp,
  dequantize8bit,
  dequantize8bitOp,
  fp4Bounds,
  int8Linear,
  int8LinearOp,
  nf4Bounds,
  nf4Linear,
  nf4LinearOp,
  quantize4bit,
  quantize4bitOp,
  quantize8bit,
  quantize8bitOp,
} from "@ft/tensor/ops";
import type { HostTensor } from "../host.ts";
import type { Random } from "../random.ts";
import { type CaseInputs, type CaseSize, leading, normals, type OpCase, size } from "./op-case.ts";

const count = (shape: readonly number[]): number => shape.reduce((n, d) => n * d, 1);

/** [rows, columns] of some hundred elements, or some 70,000; odd counts included. */
function matrix(random: Random, of: CaseSize): [number, number] {
  return of === "small"
    ? [random.int(1, 9), random.int(1, 99)]
    : [2 * random.int(150, 170) + 1, 2 * random.int(100, 120) + 1];
}

/** f32 values a step or none beside the bounds of 4-bit codes in units of `top`, and `top` itself. */
function onBounds(random: Random, top: number): number {
  if (random.chance(0.1)) return random.pick([top, -top]);
  const bound = random.pick([...nf4Bounds, ...fp4Bounds, ...fp4Bounds.map((value) => -value)]);
  const x = Float32Array.of(bound * top);
  new Int32Array(x.buffer)[0]! += random.int(-1, 1);
  return x[0]!;
}

/**
 * Normal values with runs of zeros and a magnitude that several elements share; or values where codes change, under
 * magnitudes whose reciprocals are not rounded as usual; or magnitudes at the ends of f32.
 */
function uneven(random: Random, dtype: FloatDType, shape: readonly number[]): HostTensor {
  const x = normals(random, dtype, ["row", "column"], shape, random.pick([1e-3, 1, 40]));
  const kind = random.int(0, 3);
  const top = random.chance(0.3) ? 1 : 1 + random.int(0, 2 ** 23 - 1) * 2 ** -23;
  const end =
    dtype === "f16" ? random.pick([2 ** -23, 2 ** 12]) : random.pick([2 ** -127, 2 ** -120, 2 ** 122, 2 ** 125]);
  const values = Array.from(x.values, (value) => {
    if (kind === 0) return onBounds(random, top);
    if (kind === 1) return Math.max(-3, Math.min(3, value)) * end;
    return random.chance(0.05) ? random.pick([0, -0, 3, -3, 1.5]) : value;
  });
  const [from, to] = [random.int(0, values.length), random.int(0, values.length)];
  return { ...x, values: random.chance(0.5) ? values.fill(0, from, to) : values };
}

function bytes(random: Random, axes: readonly string[], shape: readonly number[]): HostTensor {
  return { dtype: "u8", axes, shape, values: random.list(count(shape), () => random.int(0, 255)) };
}

/** Never negative, as absolute maxima are; sometimes 0. */
function maxima(random: Random, axis: string, n: number): HostTensor {
  const values = random.list(n, () => (random.chance(0.1) ? 0 : Math.abs(random.normal())));
  return { dtype: "f32", axes: [axis], shape: [n], values };
}

function nf4Case(random: Random, dtype: FloatDType, of: CaseSize, nested: boolean): CaseInputs {
  const { axes, shape } = leading(random, of);
  const [inner, outer] = of === "small" ? [random.int(1, 40), random.int(1, 20)] : [size(random, of), size(random, of)];
  const format = { type: random.pick(["nf4", "fp4"] as const), blockSize: random.pick([32, 64, 256]) };
  const blocks = Math.ceil((inner * outer) / format.blockSize);
  const biased = random.chance(0.5);
  return {
    inputs: {
      x: normals(random, dtype, [...axes, "in"], [...shape, inner]),
      codes: bytes(random, ["byte"], [Math.ceil((inner * outer) / 2)]),
      absmax: nested ? bytes(random, ["block"], [blocks]) : maxima(random, "block", blocks),
      ...(nested && {
        nestedAbsmax: maxima(random, "nested", Math.ceil(blocks / 256)),
        offset: { dtype: "f32", axes: [], shape: [], values: [random.uniform()] },
      }),
      ...(biased && { bias: normals(random, dtype, ["out"], [outer]) }),
    },
    differentiable: biased ? ["x", "bias"] : ["x"],
    axes: { y: [...axes, "out"] },
    call: ({ x, codes, absmax, nestedAbsmax, offset, bias }) => {
      const statistics = nestedAbsmax && offset ? { nestedAbsmax, offset } : {};
      const packed = { ...format, shape: [outer, inner], axes: ["out", "in"], codes: codes!, absmax: absmax! } as const;
      return { y: nf4Linear(x!, { ...packed, ...statistics }, bias) };
    },
  };
}

/** Codes and decoding of quantised formats, and products with weights in them. */
export const quantizeCases: readonly OpCase[] = [
  {
    name: "quantize4bit",
    op: quantize4bitOp,
    needs: ["u8"],
    make(random, dtype, of) {
      const x = uneven(random, dtype, matrix(random, of));
      const format = { type: random.pick(["nf4", "fp4"] as const), blockSize: random.pick([32, 64, 128, 4096]) };
      return {
        inputs: { x },
        differentiable: [],
        exact: ["codes", "absmax"],
        axes: { codes: ["byte"], absmax: ["block"] },
        call: ({ x }) => quantize4bit(x!, format),
      };
    },
  },
  {
    name: "dequantize4bit",
    op: dequantize4bitOp,
    needs: ["u8"],
    make(random, dtype, of) {
      const shape = matrix(random, of);
      const blockSize = random.pick([32, 64, 1024]);
      const format = { type: random.pick(["nf4", "fp4"] as const), blockSize, shape, dtype, axes: ["out", "in"] };
      return {
        inputs: {
          codes: bytes(random, ["byte"], [Math.ceil(count(shape) / 2)]),
          absmax: maxima(random, "block", Math.ceil(count(shape) / blockSize)),
        },
        differentiable: [],
        exact: ["y"],
        axes: { y: ["out", "in"] },
        call: ({ codes, absmax }) => ({ y: dequantize4bit(codes!, absmax!, format) }),
      };
    },
  },
  {
    name: "quantize8bit",
    op: quantize8bitOp,
    needs: ["u8"],
    make(random, dtype, of) {
      const x = uneven(random, dtype, matrix(random, of));
      const map = random.pick(["dynamic", "udynamic"] as const);
      const attrs = { map, blockSize: random.pick([64, 256]), sameSign: map === "dynamic" && random.chance(0.5) };
      const unsigned = { ...x, values: Array.from(x.values, Math.abs) };
      return {
        inputs: { x: map === "dynamic" ? x : unsigned },
        differentiable: [],
        exact: ["codes", "absmax"],
        axes: { codes: ["row", "column"], absmax: ["block"] },
        call: ({ x }) => quantize8bit(x!, attrs),
      };
    },
  },
  {
    name: "dequantize8bit",
    op: dequantize8bitOp,
    needs: ["u8"],
    make(random, _dtype, of) {
      const shape = matrix(random, of);
      const attrs = { map: random.pick(["dynamic", "udynamic"] as const), blockSize: random.pick([64, 256]) };
      return {
        inputs: {
          codes: bytes(random, ["row", "column"], shape),
          absmax: maxima(random, "block", Math.ceil(count(shape) / attrs.blockSize)),
          ...(random.chance(0.5) && { offset: { dtype: "f32", axes: [], shape: [], values: [random.uniform()] } }),
        },
        differentiable: [],
        exact: ["y"],
        axes: { y: ["row", "column"] },
        call: ({ codes, absmax, offset }) => ({
          y: dequantize8bit(codes!, absmax!, { ...attrs, ...(offset && { offset }) }),
        }),
      };
    },
  },
  {
    name: "nf4Linear",
    op: nf4LinearOp,
    needs: ["u8"],
    make: (random, dtype, of) => nf4Case(random, dtype, of, false),
  },
  {
    name: "nf4Linear: nested absmax",
    op: nf4LinearOp,
    needs: ["u8"],
    make: (random, dtype, of) => nf4Case(random, dtype, of, true),
  },
  {
    name: "int8Linear",
    op: int8LinearOp,
    needs: ["i8"],
    make(random, dtype, of) {
      const { axes, shape } = leading(random, of);
      const [inner, outer] = [size(random, of), size(random, of)];
      const biased = random.chance(0.5);
      const values = random.list(inner * outer, () => random.int(-127, 127));
      return {
        inputs: {
          x: normals(random, dtype, [...axes, "in"], [...shape, inner]),
          weight: { dtype: "i8", axes: ["out", "in"], shape: [outer, inner], values },
          absmax: maxima(random, "out", outer),
          ...(biased && { bias: normals(random, dtype, ["out"], [outer]) }),
        },
        differentiable: biased ? ["x", "bias"] : ["x"],
        axes: { y: [...axes, "out"] },
        call: ({ x, weight, absmax, bias }) => ({ y: int8Linear(x!, weight!, absmax!, bias) }),
      };
    },
  },
];
