import { expect, test } from "vitest";
import { compile } from "./compile.ts";

/** What every snippet may use. */
const given = `
import { defineKernel, defineOp, scalar, tensor, type PrimitiveKernels, type Tensor, type View } from "@ft/tensor";
import { attention, embedding, linear, loraLinear, matmul, rmsNorm, swiglu, swigluOp } from "@ft/tensor/ops";
import type { Optimizer } from "@ft/optim";
import type { Linear } from "@ft/nn";
import { createCpuBackend } from "@ft/backend-cpu";
declare const x: Tensor<"f32", readonly ["batch", "seq", "hidden"]>;
declare const w: Tensor<"f32", readonly ["hidden", "ff"]>;
declare const weight: Tensor<"f32", readonly ["ff", "hidden"]>;
declare const half: Tensor<"bf16", readonly ["hidden", "ff"]>;
declare const ids: Tensor<"i32", readonly ["batch", "seq"]>;
declare const step: Tensor<"i32", readonly []>;
declare const q: Tensor<"f32", readonly ["batch", "seq", "head", "d"]>;
declare const state: Tensor<"f32">;
`;
const optimizer = `name: "lion", scalars: ({ lr }) => ({ lr }), step: ({ param, slots }) => ({ param, slots })`;
const op = `name: "square",
  infer: ({ in: { x } }) => ({ out: { y: x }, saved: {} }),
  forward: (p, { in: { x } }) => ({ out: { y: p.mul(x, x) }, saved: {} }),`;
const lora = "{ scale: 1, rate: 0, seed: 0, stream: 0 }";

/** mistake -> the code, and the last line of the compiler's message */
const wrong: Record<string, readonly [code: string, last: string | RegExp]> = {
  "contracted axis of linear": ["linear(x, w);", `Type '"ff"' is not assignable to type '"hidden"'.`],
  "contracted axis of matmul": ["matmul(x, weight);", `Type '"ff"' is not assignable to type '"hidden"'.`],
  "norm over another axis": [
    `rmsNorm(x, {} as Tensor<"f32", readonly ["ff"]>, 1e-5);`,
    `Type '"ff"' is not assignable to type '"hidden"'.`,
  ],
  "ids where floats are needed": ["matmul(ids, w);", /^Type '"i32"' is not assignable to type 'FloatDType'\.$/],
  "floats where ids are needed": ["embedding(w, x);", `Type '"f32"' is not assignable to type '"i32"'.`],
  "bf16 with f32": ["matmul(x, half);", `Type '"bf16"' is not assignable to type '"f32"'.`],
  "gate and up of other widths": [
    `swiglu(x, {} as Tensor<"f32", readonly ["batch", "seq", "ff"]>);`,
    `Type '"ff"' is not assignable to type '"hidden"'.`,
  ],
  "segments of another layout": [
    `attention(q, q, q, {} as Tensor<"i32", readonly ["token"]>, { scale: 1 });`,
    "Source has 1 element(s) but target requires 2.",
  ],
  "a prefix of the batch forgotten": [
    `loraLinear({} as Tensor<"f32", readonly ["seq", "ff"]>, x, {} as Tensor<"f32", readonly ["rank", "hidden"]>, {} as Tensor<"f32", readonly ["ff", "rank"]>, step, ${lora});`,
    /Source has 3 element\(s\) but target allows only 2\.|is not assignable to type/,
  ],
  "adapter of another width": [
    `loraLinear(linear(x, weight), x, {} as Tensor<"f32", readonly ["rank", "ff"]>, {} as Tensor<"f32", readonly ["ff", "rank"]>, step, ${lora});`,
    `Type '"ff"' is not assignable to type '"hidden"'.`,
  ],
  "adapter whose ranks differ": [
    `loraLinear(linear(x, weight), x, {} as Tensor<"f32", readonly ["rank", "hidden"]>, {} as Tensor<"f32", readonly ["ff", "r"]>, step, ${lora});`,
    `Type '"r"' is not assignable to type '"rank"'.`,
  ],
  "number where a step's tensor is needed": [
    `loraLinear(linear(x, weight), x, {} as Tensor<"f32", readonly ["rank", "hidden"]>, {} as Tensor<"f32", readonly ["ff", "rank"]>, 3, ${lora});`,
    `Argument of type 'number' is not assignable to parameter of type 'Tensor<"i32", readonly []>'.`,
  ],
  "layer of other axes": [
    `export const up: Linear<"ff", "hidden"> = {} as Linear<"hidden", "ff">;`,
    /Type '"(ff|hidden)"' is not assignable to type '"(hidden|ff)"'\.$/,
  ],
  "optimizer that forgets a slot": [
    `export const o: Optimizer<{ m: Tensor<"f32">; v: Tensor<"f32"> }, "lr"> = { init: () => ({ m: state }), ${optimizer} };`,
    /^Property 'v' is missing in type '\{ m: Tensor<"f32", any>; \}'/,
  ],
  "optimizer that forgets a scalar": [
    `export const o: Optimizer<{}, "lr" | "warmup"> = { init: () => ({}), ${optimizer} };`,
    /^Property 'warmup' is missing in type '\{ lr: number; \}'/,
  ],
  "backend that misses primitives": [
    "export const p: PrimitiveKernels = { matmul: () => {} };",
    /^Type '\{ matmul: \(\) => void; \}' is missing the following properties from type 'PrimitiveKernels': .*and \d+ more\.$/,
  ],
  "kernel for another backend": [
    `const k = defineKernel(swigluOp, { forward: (gpu: { readonly stream: bigint }) => void gpu.stream });
     createCpuBackend({ kernels: [k] });`,
    /^Property 'stream' is missing in type 'CpuContext' but required in type '\{ readonly stream: bigint; \}'\.$/,
  ],
  "backward that reads what was not kept": [
    `defineOp<{ in: { x: View }; out: { y: View }; attrs: {}; keeps: {}; saved: {} }>({ ${op} keeps: () => ({}),
       vjp: (p, { kept: { x }, grad: { y } }) => ({ x: p.mul(x, y) }) });`,
    "Property 'x' does not exist on type '{}'.",
  ],
  "kept value that is declared but not granted": [
    `defineOp<{ in: { x: View }; out: { y: View }; attrs: {}; keeps: { x: View }; saved: {} }>({ ${op} keeps: () => ({}) });`,
    /^Property 'x' is missing in type '\{\}' but required in type '\{ readonly x: boolean \| undefined; \}'\.$/,
  ],
  "gradient of something that is no input": [
    `defineOp<{ in: { x: View }; out: { y: View }; attrs: {}; keeps: {}; saved: {} }>({ ${op} keeps: () => ({}),
       vjp: (_p, { grad: { y } }) => ({ w: y }) });`,
    /'w' does not exist in type|has no properties in common/,
  ],
};

/** The same things done right: no snippet above fails for want of an import. */
const right = `
const h = swiglu(matmul(rmsNorm(x, {} as Tensor<"f32", readonly ["hidden"]>, 1e-5), w), linear(x, weight));
export const y: Tensor<"f32", readonly ["batch", "seq", "ff"]> = loraLinear(h, x,
  {} as Tensor<"f32", readonly ["rank", "hidden"]>, {} as Tensor<"f32", readonly ["ff", "rank"]>, step, ${lora});
export const z: Tensor<"f32", readonly ["batch", "seq", "ff"]> = embedding({} as Tensor<"f32", readonly ["vocab", "ff"]>, ids);
export const attended = attention(q, q, q, ids, { scale: 1 });
export const o: Optimizer<{ m: Tensor<"f32"> }, "lr"> = { init: () => ({ m: state }), ${optimizer} };
export const l: Linear<"hidden", "ff"> = {} as Linear<"hidden", "ff">;
export const k = defineKernel(swigluOp, { forward: () => {} });
export const backend = createCpuBackend({ kernels: [k] });
export const s = scalar({} as never, "i32", 1);
export const t = tensor({} as never, "i32", ["n"], [1], new Int32Array(1));
export const square = defineOp<{ in: { x: View }; out: { y: View }; attrs: {}; keeps: { x: View }; saved: {} }>({ ${op}
  keeps: (wants) => ({ x: wants.x }), vjp: (p, { kept: { x }, grad: { y } }) => ({ x: p.mul(x, y) }) });
`;

const names: readonly string[] = Object.keys(wrong);
// Two snippets must not see each other's names, hence a file each; one program checks them all.
const { verdicts } = compile(
  new Map([
    ["right", `${given}${right}`],
    ...names.map((name, i) => [`wrong-${i}`, `${given}${wrong[name]?.[0]}\nexport {};\n`] as const),
  ]),
);

test("what is right compiles", () => {
  expect(verdicts.get("right")?.text).toBe("");
});

test.each(names)("%s: the last line names the mistake", (name) => {
  const verdict = verdicts.get(`wrong-${names.indexOf(name)}`);
  const last = wrong[name]?.[1];
  expect(verdict?.last, verdict?.text).toHaveLength(1);
  if (last instanceof RegExp) expect(verdict?.last[0]).toMatch(last);
  else expect(verdict?.last[0]).toBe(last);
});
