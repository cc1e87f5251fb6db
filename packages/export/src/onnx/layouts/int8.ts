import { asBytes, type WeightReader } from "../reader.ts";
import { withBias } from "./float.ts";
import { type Layout, type LayoutContext, once } from "./layout.ts";

/**
 * Weights in int8 with a scale for each output, activations rounded to 8 bits while they pass, each token by a scale of its own:
 * DynamicQuantizeLinear has one scale for all, and Llamas have tokens, mostly the first, whose activations are hundreds of times
 * larger than those of the others, which would be rounded to nothing. Stored [in, out], as MatMulInteger multiplies; embeddings too,
 * so that a tied head shares them.
 */
export function int8Layout(context: LayoutContext): Layout {
  const { graph, reader } = context;
  const weight = once((name) => {
    const [out, inner] = reader.matrix(name);
    return graph.weight({
      tensors: [
        { name: `${name}.int8`, dtype: "i8", dims: [inner, out] },
        { name: `${name}.scale`, dtype: "f32", dims: [out] },
      ],
      data: () => int8Columns(reader, name),
    });
  });
  const middle = graph.constant("activation_zero", "u8", [], Uint8Array.of(128));
  // query, key and value are made of the same activations
  const rounded = once((x) => {
    const largest = graph.node("ReduceMax", [graph.node("Abs", [x])], { axes: [-1], keepdims: 0 });
    const bounded = graph.node("Max", [largest, graph.floats("smallest", 2 ** -100)]);
    const step = graph.node("Div", [bounded, graph.floats("activation_levels", 127)]);
    const zeros = graph.node("Expand", [middle, graph.node("Shape", [step])]);
    const bytes = graph.node("QuantizeLinear", [x, step, zeros], { axis: 0 });
    return [bytes, graph.node("Unsqueeze", [step, graph.integers([1])])];
  });
  return {
    product(x, { weight: name, bias }) {
      const [codes, scale] = weight(name);
      const [bytes, step] = rounded(x);
      const sums = graph.node("Cast", [graph.node("MatMulInteger", [bytes!, codes!, middle])], { to: 1 });
      return withBias(context, graph.node("Mul", [graph.node("Mul", [sums, step!]), scale!]), bias);
    },
    lookUp(ids, name) {
      const [codes, scale] = weight(name);
      const columns = graph.node("Gather", [codes!, ids], { axis: 1 });
      const rows = graph.node("Cast", [graph.node("Transpose", [columns], { perm: [1, 0] })], { to: 1 });
      const scales = graph.node("Gather", [scale!, ids]);
      return graph.node("Mul", [rows, graph.node("Unsqueeze", [scales, graph.integers([1])])]);
    },
  };
}

/** Codes [in, out], then the scale of each output. */
async function* int8Columns(reader: WeightReader, name: string): AsyncGenerator<Uint8Array> {
  const [out, inner] = reader.matrix(name);
  const codes = new Int8Array(inner * out);
  const scales = new Float32Array(out);
  for await (const { row, values } of reader.rows(name))
    for (let at = 0; at < values.length; at += inner) {
      const column = row + at / inner;
      scales[column] = quantiseColumn(values.subarray(at, at + inner), codes.subarray(column), out);
    }
  yield asBytes(codes);
  yield asBytes(scales);
}

/** Writes a code every `stride` places and returns the scale: the largest magnitude has 127; 1 where all is zero. */
function quantiseColumn(values: Float32Array, codes: Int8Array, stride: number): number {
  let most = 0;
  for (let i = 0; i < values.length; i++) most = Math.max(most, Math.abs(values[i]!));
  const scale = most / 127 < 2 ** -126 ? 1 : Math.fround(most / 127);
  for (let i = 0; i < values.length; i++) {
    const code = roundEven(Math.fround(values[i]! / scale));
    codes[i * stride] = Math.max(-127, Math.min(code, 127));
  }
  return scale;
}

/** To the nearest whole number, a half to the even one: adding 1.5·2^52 leaves no bits for a fraction. */
function roundEven(x: number): number {
  return x + 6755399441055744 - 6755399441055744;
}
