import { halves } from "../../source/halves.ts";
import { asBytes, type WeightReader } from "../reader.ts";
import { halfEmbedding, withBias } from "./float.ts";
import { type Layout, type LayoutContext, once } from "./layout.ts";

const blockSize = 32;

/**
 * Weights in 4 bits, blocks of 32 along the inputs with a scale each (MatMulNBits of ONNX Runtime): code 8 stands for 0, low nibble
 * first, a row filled up to whole blocks. Embeddings stay in f16.
 */
export function block4Layout(context: LayoutContext): Layout {
  const { graph, reader, activations } = context;
  const weight = once((name) => {
    const [out, inner] = reader.matrix(name);
    const blocks = Math.ceil(inner / blockSize);
    return graph.weight({
      tensors: [
        { name: `${name}.q4`, dtype: "u8", dims: [out, blocks, blockSize / 2] },
        { name: `${name}.scale`, dtype: activations, dims: [out * blocks] },
      ],
      data: () => block4Rows(reader, name, activations),
    });
  });
  return {
    product(x, { weight: name, bias }) {
      const [out, inner] = reader.matrix(name);
      const attributes = { K: inner, N: out, bits: 4, block_size: blockSize };
      return withBias(context, graph.contributed("MatMulNBits", [x, ...weight(name)], attributes), bias);
    },
    lookUp: halfEmbedding(context),
  };
}

/** Codes [out, block, 16], then scales [out × block]. */
async function* block4Rows(reader: WeightReader, name: string, dtype: "f32" | "f16"): AsyncGenerator<Uint8Array> {
  const [out, inner] = reader.matrix(name);
  const blocks = Math.ceil(inner / blockSize);
  const scales = new Float32Array(out * blocks);
  for await (const { row, values } of reader.rows(name)) {
    const rows = values.length / inner;
    const codes = new Uint8Array(rows * blocks * (blockSize / 2));
    for (let r = 0; r < rows; r++)
      for (let b = 0; b < blocks; b++) {
        const block = values.subarray(r * inner + b * blockSize, r * inner + Math.min((b + 1) * blockSize, inner));
        const at = r * blocks + b;
        scales[row * blocks + at] = quantiseBlock(
          block,
          codes.subarray((at * blockSize) / 2, ((at + 1) * blockSize) / 2),
        );
      }
    yield codes;
  }
  yield dtype === "f32" ? asBytes(scales) : asBytes(halves(`${name}.scale`, scales, "export it as q4"));
}

/**
 * Writes the codes of a block and returns its scale: the value of largest magnitude has the code 0, which stands for −8 scales, so
 * that the sign of the scale is the opposite of its own.
 */
function quantiseBlock(values: Float32Array, codes: Uint8Array): number {
  let extreme = 0;
  for (let i = 0; i < values.length; i++) if (Math.abs(values[i]!) > Math.abs(extreme)) extreme = values[i]!;
  const scale = Math.fround(extreme / -8);
  const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
  for (let i = 0; i < codes.length; i++)
    codes[i] = code(values[2 * i] ?? 0, inverse) | (code(values[2 * i + 1] ?? 0, inverse) << 4);
  return scale;
}

function code(value: number, inverse: number): number {
  const level = Math.floor(Math.fround(Math.fround(value * inverse) + 8.5));
  return Math.max(0, Math.min(level, 15));
}
