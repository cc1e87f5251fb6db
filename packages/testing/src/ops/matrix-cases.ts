import type { DType, FloatDType } from "@ft/tensor";
import {
  argmax,
  argmaxOp,
  embedding,
  embeddingOp,
  linear,
  linearCrossEntropy,
  linearCrossEntropyOp,
  linearOp,
  loraLinear,
  loraLinearOp,
  matmul,
  matmulOp,
} from "@ft/tensor/ops";
import type { Random } from "../random.ts";
import { type CaseInputs, type CaseSize, integers, leading, normals, number, type OpCase, size } from "./op-case.ts";

function linearCase(random: Random, dtype: FloatDType, of: CaseSize, stored: DType): CaseInputs {
  const { axes, shape } = leading(random, of);
  const [inner, outer] = [size(random, of), size(random, of)];
  const inputs = {
    x: normals(random, dtype, [...axes, "in"], [...shape, inner]),
    weight: normals(random, stored, ["out", "in"], [outer, inner]),
    ...(random.chance(0.5) && { bias: normals(random, stored, ["out"], [outer]) }),
  };
  return {
    inputs,
    differentiable: stored === dtype ? Object.keys(inputs) : ["x"],
    axes: { y: [...axes, "out"] },
    call: ({ x, weight, bias }) => ({ y: linear(x!, weight!, bias) }),
  };
}

/** Few rows of an even width, as generation has them: backends may have a path of their own for them. */
function fewRowsCase(random: Random, dtype: FloatDType, of: CaseSize): CaseInputs {
  const rows = random.int(1, 40);
  const [inner, outer] = [8 * size(random, of), size(random, of)];
  const inputs = {
    x: normals(random, dtype, ["batch", "seq", "in"], [rows, 1, inner]),
    weight: normals(random, dtype, ["out", "in"], [outer, inner], 0.25),
    ...(random.chance(0.5) && { bias: normals(random, dtype, ["out"], [outer]) }),
  };
  return {
    inputs,
    differentiable: Object.keys(inputs),
    axes: { y: ["batch", "seq", "out"] },
    call: ({ x, weight, bias }) => ({ y: linear(x!, weight!, bias) }),
  };
}

function loraCase(random: Random, dtype: FloatDType, of: CaseSize, adapters: DType): CaseInputs {
  const { axes, shape } = leading(random, of);
  const [inner, outer] = [size(random, of), size(random, of)];
  const rank = random.int(1, of === "small" ? 3 : 8);
  const attrs = {
    rate: random.chance(0.4) ? 0 : 0.5 * random.uniform(),
    seed: random.int(0, 2 ** 31),
    stream: random.int(0, 9),
    scale: 0.25 + 2 * random.uniform(),
  };
  return {
    inputs: {
      base: normals(random, dtype, [...axes, "out"], [...shape, outer]),
      x: normals(random, dtype, [...axes, "in"], [...shape, inner]),
      a: normals(random, adapters, ["rank", "in"], [rank, inner]),
      b: normals(random, adapters, ["out", "rank"], [outer, rank]),
      step: number("i32", random.int(0, 99)),
    },
    differentiable: ["base", "x", "a", "b"],
    consumes: ["base"],
    axes: { y: [...axes, "out"] },
    call: ({ base, x, a, b, step }) => ({ y: loraLinear(base!, x!, a!, b!, step!, attrs) }),
  };
}

function crossEntropyCase(random: Random, dtype: FloatDType, of: CaseSize, stored: DType): CaseInputs {
  const { axes, shape } = leading(random, of);
  const [hidden, vocab] = [size(random, of), 1 + size(random, of) * (of === "large" ? 5 : 1)];
  const rows = shape.reduce((n, d) => n * d, 1);
  const targets = integers(random, axes, shape, 0, vocab - 1);
  const ignored = random.uniform() * 0.6;
  const masked = { ...targets, values: Array.from(targets.values, (t) => (random.chance(ignored) ? -100 : t)) };
  const attrs = { chunk: random.int(1, rows + 1) };
  return {
    inputs: {
      x: normals(random, dtype, [...axes, "hidden"], [...shape, hidden]),
      weight: normals(random, stored, ["vocab", "hidden"], [vocab, hidden]),
      targets: masked,
    },
    differentiable: stored === dtype ? ["x", "weight"] : ["x"],
    axes: { loss: [], count: [] },
    call: ({ x, weight, targets }) => linearCrossEntropy(x!, weight!, targets!, attrs),
  };
}

/** Few distinct values, so that the first of equals must win; long rows are what kernels deal to several blocks. */
function argmaxCase(random: Random, dtype: FloatDType, of: CaseSize): CaseInputs {
  const { axes, shape } = leading(random, of === "large" ? "small" : of);
  const width = of === "large" ? 8200 + random.int(0, 9) : size(random, of);
  const x = normals(random, dtype, [...axes, "vocab"], [...shape, width]);
  const spread = random.int(1, 9);
  const values = Array.from(x.values, () => random.int(-spread, spread));
  return {
    inputs: { x: { ...x, values } },
    differentiable: [],
    exact: ["y"],
    axes: { y: axes },
    call: ({ x }) => ({ y: argmax(x!) }),
  };
}

/** Ops around a matrix product or a table. */
export const matrixCases: readonly OpCase[] = [
  { name: "linear", op: linearOp, make: (random, dtype, of) => linearCase(random, dtype, of, dtype) },
  {
    name: "linear: bf16 weight",
    op: linearOp,
    needs: ["bf16"],
    make: (random, dtype, of) => linearCase(random, dtype, of, "bf16"),
  },
  {
    name: "linear: f16 weight",
    op: linearOp,
    needs: ["f16"],
    make: (random, dtype, of) => linearCase(random, dtype, of, "f16"),
  },
  { name: "linear: few rows", op: linearOp, make: fewRowsCase },
  { name: "argmax", op: argmaxOp, make: argmaxCase },
  { name: "loraLinear", op: loraLinearOp, make: (random, dtype, of) => loraCase(random, dtype, of, dtype) },
  {
    name: "linearCrossEntropy",
    op: linearCrossEntropyOp,
    make: (random, dtype, of) => crossEntropyCase(random, dtype, of, dtype),
  },
  {
    name: "linearCrossEntropy: bf16 weight",
    op: linearCrossEntropyOp,
    needs: ["bf16"],
    make: (random, dtype, of) => crossEntropyCase(random, dtype, of, "bf16"),
  },
  {
    name: "matmul",
    op: matmulOp,
    make(random, dtype, of) {
      const { axes, shape } = leading(random, of);
      const [k, n] = [size(random, of), size(random, of)];
      const inputs = {
        a: normals(random, dtype, [...axes, "k"], [...shape, k]),
        b: normals(random, dtype, ["k", "n"], [k, n]),
      };
      return {
        inputs,
        differentiable: ["a", "b"],
        axes: { y: [...axes, "n"] },
        call: ({ a, b }) => ({ y: matmul(a!, b!) }),
      };
    },
  },
  {
    name: "embedding",
    op: embeddingOp,
    make(random, dtype, of) {
      const { axes, shape } = leading(random, of);
      const [vocab, hidden] = [size(random, of), size(random, of)];
      const inputs = {
        table: normals(random, dtype, ["vocab", "hidden"], [vocab, hidden]),
        ids: integers(random, axes, shape, 0, vocab - 1),
      };
      return {
        inputs,
        differentiable: ["table"],
        axes: { y: [...axes, "hidden"] },
        call: ({ table, ids }) => ({ y: embedding(table!, ids!) }),
      };
    },
  },
  {
    name: "embedding: bf16 table",
    op: embeddingOp,
    needs: ["bf16"],
    make(random, dtype, of) {
      const { axes, shape } = leading(random, of);
      const [vocab, hidden] = [size(random, of), size(random, of)];
      const inputs = {
        table: normals(random, "bf16", ["vocab", "hidden"], [vocab, hidden]),
        ids: integers(random, axes, shape, 0, vocab - 1),
      };
      return {
        inputs,
        differentiable: [],
        axes: { y: [...axes, "hidden"] },
        call: ({ table, ids }) => ({ y: embedding(table!, ids!, dtype) }),
      };
    },
  },
];
