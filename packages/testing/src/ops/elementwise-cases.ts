import type { Tensor } from "@ft/tensor";
import {
  add,
  addOp,
  cast,
  castOp,
  divide,
  divideOp,
  dropout,
  dropoutOp,
  mergeLast,
  reshapeOp,
  rmsNorm,
  rmsNormOp,
  scale,
  scaleOp,
  slice,
  sliceOp,
  splitLast,
  sum,
  sumOp,
  sumSquares,
  sumSquaresEach,
  sumSquaresEachOp,
  sumSquaresOp,
  swiglu,
  swigluOp,
} from "@ft/tensor/ops";
import type { HostTensor } from "../host.ts";
import { anyShape, leading, normals, number, type OpCase, size } from "./op-case.ts";

/** Ops that work element by element or row by row. */
export const elementwiseCases: readonly OpCase[] = [
  {
    name: "add",
    op: addOp,
    make(random, dtype, of) {
      const { axes, shape } = anyShape(random, of);
      const [a, b] = [normals(random, dtype, axes, shape), normals(random, dtype, axes, shape)];
      return {
        inputs: { a, b },
        differentiable: ["a", "b"],
        axes: { y: axes },
        call: ({ a, b }) => ({ y: add(a!, b!) }),
      };
    },
  },
  {
    name: "add: one tensor twice",
    op: addOp,
    make(random, dtype, of) {
      const { axes, shape } = anyShape(random, of);
      const inputs = { a: normals(random, dtype, axes, shape) };
      return { inputs, differentiable: ["a"], axes: { y: axes }, call: ({ a }) => ({ y: add(a!, a!) }) };
    },
  },
  {
    name: "scale",
    op: scaleOp,
    make(random, dtype, of) {
      const { axes, shape } = anyShape(random, of);
      const inputs = { x: normals(random, dtype, axes, shape), by: number(dtype, random.normal()) };
      return { inputs, differentiable: ["x"], axes: { y: axes }, call: ({ x, by }) => ({ y: scale(x!, by!) }) };
    },
  },
  {
    name: "divide",
    op: divideOp,
    make(random, dtype, of) {
      const { axes, shape } = anyShape(random, of);
      const inputs = { x: normals(random, dtype, axes, shape), by: number(dtype, random.int(1, 9)) };
      return { inputs, differentiable: ["x"], axes: { y: axes }, call: ({ x, by }) => ({ y: divide(x!, by!) }) };
    },
  },
  {
    name: "swiglu",
    op: swigluOp,
    make(random, dtype, of) {
      const { axes, shape } = anyShape(random, of);
      const inputs = { gate: normals(random, dtype, axes, shape, 3), up: normals(random, dtype, axes, shape) };
      return {
        inputs,
        differentiable: ["gate", "up"],
        axes: { y: axes },
        call: ({ gate, up }) => ({ y: swiglu(gate!, up!) }),
      };
    },
  },
  {
    name: "swiglu: one tensor as gate and up",
    op: swigluOp,
    make(random, dtype, of) {
      const { axes, shape } = anyShape(random, of);
      const inputs = { x: normals(random, dtype, axes, shape, 2) };
      return { inputs, differentiable: ["x"], axes: { y: axes }, call: ({ x }) => ({ y: swiglu(x!, x!) }) };
    },
  },
  {
    name: "dropout",
    op: dropoutOp,
    make(random, dtype, of) {
      const { axes, shape } = anyShape(random, of);
      const inputs = { x: normals(random, dtype, axes, shape), step: number("i32", random.int(0, 1000)) };
      const rate = random.chance(0.2) ? 0 : 0.05 + 0.85 * random.uniform();
      const attrs = { rate, seed: random.int(0, 2 ** 31), stream: random.int(0, 50) };
      return {
        inputs,
        differentiable: ["x"],
        axes: { y: axes },
        call: ({ x, step }) => ({ y: dropout(x!, step!, attrs) }),
      };
    },
  },
  {
    name: "rmsNorm",
    op: rmsNormOp,
    make(random, dtype, of) {
      const { axes, shape } = leading(random, of);
      const hidden = size(random, of);
      const inputs = {
        x: normals(random, dtype, [...axes, "hidden"], [...shape, hidden]),
        weight: normals(random, dtype, ["hidden"], [hidden]),
      };
      const eps = random.pick([1e-6, 1e-5, 0.1]);
      return {
        inputs,
        differentiable: ["x", "weight"],
        axes: { y: [...axes, "hidden"] },
        call: ({ x, weight }) => ({ y: rmsNorm(x!, weight!, eps) }),
      };
    },
  },
  {
    name: "rmsNorm: bf16 weight",
    op: rmsNormOp,
    needs: ["bf16"],
    make(random, dtype, of) {
      const { axes, shape } = leading(random, of);
      const hidden = size(random, of);
      const inputs = {
        x: normals(random, dtype, [...axes, "hidden"], [...shape, hidden]),
        weight: normals(random, "bf16", ["hidden"], [hidden]),
      };
      return {
        inputs,
        differentiable: ["x"],
        axes: { y: [...axes, "hidden"] },
        call: ({ x, weight }) => ({ y: rmsNorm(x!, weight!, 1e-5) }),
      };
    },
  },
  {
    name: "sum",
    op: sumOp,
    make(random, dtype, of) {
      const { axes, shape } = anyShape(random, of);
      const inputs = { x: normals(random, dtype, axes, shape) };
      return { inputs, differentiable: ["x"], axes: { y: [] }, call: ({ x }) => ({ y: sum(x!) }) };
    },
  },
  {
    name: "sumSquares",
    op: sumSquaresOp,
    make(random, dtype, of) {
      const { axes, shape } = anyShape(random, of);
      const inputs = { x: normals(random, dtype, axes, shape) };
      return { inputs, differentiable: [], axes: { y: [] }, call: ({ x }) => ({ y: sumSquares(x!) }) };
    },
  },
  {
    name: "sumSquaresEach",
    op: sumSquaresEachOp,
    make(random, dtype, of) {
      // more than kernels take at a time, of any sizes
      const names = random.list(random.int(1, 70), () => "x").map((x, i) => `${x}${i}`);
      const tensor = (): HostTensor => {
        const { axes, shape } =
          of === "large" && random.int(0, 20) > 0 ? anyShape(random, "small") : anyShape(random, of);
        return normals(random, dtype, axes, shape);
      };
      const inputs = Object.fromEntries(names.map((name) => [name, tensor()]));
      const call = (tensors: { readonly [name: string]: Tensor }): { y: Tensor } => ({
        y: sumSquaresEach(Object.values(tensors)),
      });
      return { inputs, differentiable: [], axes: { y: ["tensor"] }, call };
    },
  },
  {
    name: "cast",
    op: castOp,
    make(random, dtype, of) {
      const { axes, shape } = anyShape(random, of);
      const inputs = { x: normals(random, dtype, axes, shape) };
      // to f64 only from f64: a cast that rounds has no difference quotient
      return {
        inputs,
        differentiable: ["x"],
        axes: { y: axes },
        call: ({ x }) => ({ y: cast(x!, x!.dtype === "f64" ? "f64" : "f32") }),
      };
    },
  },
  {
    name: "cast: from bf16",
    op: castOp,
    needs: ["bf16"],
    make(random, dtype, of) {
      const { axes, shape } = anyShape(random, of);
      const inputs = { x: normals(random, "bf16", axes, shape) };
      return { inputs, differentiable: [], axes: { y: axes }, call: ({ x }) => ({ y: cast(x!, dtype) }) };
    },
  },
  {
    name: "slice",
    op: sliceOp,
    make(random, dtype, of) {
      const axes = ["batch", "seq", "hidden"];
      const shape = [size(random, "small"), size(random, of), size(random, of)];
      const at = random.int(0, 2);
      const start = random.int(0, shape[at]! - 1);
      const end = random.int(start + 1, shape[at]!);
      const inputs = { x: normals(random, dtype, axes, shape) };
      return {
        inputs,
        differentiable: ["x"],
        axes: { y: axes },
        call: ({ x }) => ({ y: slice(x!, axes[at]!, start, end) }),
      };
    },
  },
  {
    name: "splitLast",
    op: reshapeOp,
    make(random, dtype, of) {
      const { axes, shape } = leading(random, of);
      const [outer, inner] = [size(random, "small"), size(random, "small")];
      const inputs = { x: normals(random, dtype, [...axes, "hidden"], [...shape, outer * inner]) };
      return {
        inputs,
        differentiable: ["x"],
        axes: { y: [...axes, "heads", "headDim"] },
        call: ({ x }) => ({ y: splitLast(x!, ["heads", "headDim"], inner) }),
      };
    },
  },
  {
    name: "mergeLast",
    op: reshapeOp,
    make(random, dtype, of) {
      const { axes, shape } = leading(random, of);
      const inputs = {
        x: normals(
          random,
          dtype,
          [...axes, "heads", "headDim"],
          [...shape, size(random, "small"), size(random, "small")],
        ),
      };
      return {
        inputs,
        differentiable: ["x"],
        axes: { y: [...axes, "hidden"] },
        call: ({ x }) => ({ y: mergeLast(x!, "hidden") }),
      };
    },
  },
];
