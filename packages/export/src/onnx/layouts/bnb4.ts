import { quantizeTo4bit } from "@ft/quant-nf4";
import type { Backend } from "@ft/tensor";
import { asBytes, type WeightReader } from "../reader.ts";
import { halfEmbedding, withBias } from "./float.ts";
import { type Layout, type LayoutContext, once } from "./layout.ts";

const blockSize = 64;

/**
 * Weights in NF4 as bitsandbytes has them, in blocks of 64 over the flattened rows (MatMulBnb4 of ONNX Runtime). Embeddings stay in
 * f16. The backend quantises.
 */
export function bnb4Layout(context: LayoutContext, backend: Backend): Layout {
  const { graph, reader } = context;
  const weight = once((name) => {
    const [out, inner] = reader.matrix(name);
    return graph.weight({
      tensors: [
        { name: `${name}.nf4`, dtype: "u8", dims: [Math.ceil((out * inner) / 2)] },
        { name: `${name}.absmax`, dtype: "f32", dims: [Math.ceil((out * inner) / blockSize)] },
      ],
      data: () => nf4Blocks(reader, name, backend),
    });
  });
  return {
    product(x, { weight: name, bias }) {
      const [out, inner] = reader.matrix(name);
      const attributes = { K: inner, N: out, block_size: blockSize, quant_type: 1 };
      return withBias(context, graph.contributed("MatMulBnb4", [x, ...weight(name)], attributes), bias);
    },
    lookUp: halfEmbedding(context),
  };
}

async function* nf4Blocks(reader: WeightReader, name: string, backend: Backend): AsyncGenerator<Uint8Array> {
  const read = (start: number, count: number) => reader.window(name, start, count);
  const from = { name, shape: reader.matrix(name), dtype: "f32", read } as const;
  const linear = await quantizeTo4bit(backend, from, { type: "nf4", blockSize, doubleQuant: false });
  try {
    yield asBytes(await linear.weight.codes.read());
    yield asBytes(await linear.weight.absmax.read());
  } finally {
    linear.dispose();
  }
}
