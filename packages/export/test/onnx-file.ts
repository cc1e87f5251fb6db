import { open, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { f16ToF32 } from "@ft/tensor";
import { loadConsumer } from "./consumers.ts";

/** A tensor in a data file beside a model. */
export interface ExternalTensor {
  readonly name: string;
  readonly dims: readonly number[];
  /** TensorProto.DataType */
  readonly type: number;
  bytes(): Uint8Array;
  floats(): Float32Array;
}

interface OnnxProto {
  readonly onnx: {
    readonly ModelProto: {
      decode(bytes: Uint8Array): {
        readonly graph: {
          readonly node: readonly { readonly opType: string; readonly name: string }[];
          readonly initializer: readonly {
            readonly name: string;
            readonly dims: readonly (number | { toNumber(): number })[];
            readonly dataType: number;
            readonly dataLocation: number;
            readonly externalData: readonly { readonly key: string; readonly value: string }[];
          }[];
        };
      };
    };
  };
}

/** What onnx-proto reads in a model file of its external tensors. */
export async function externalTensors(path: string): Promise<ReadonlyMap<string, ExternalTensor>> {
  const loaded = await loadConsumer<OnnxProto & { readonly default?: OnnxProto }>("onnx-proto");
  const { onnx } = loaded.default ?? loaded;
  const { graph } = onnx.ModelProto.decode(await readFile(path));
  const found = new Map<string, ExternalTensor>();
  for (const { name, dims, dataType, dataLocation, externalData } of graph.initializer) {
    if (dataLocation !== 1) continue;
    const entry = new Map(externalData.map(({ key, value }) => [key, value]));
    const bytes = new Uint8Array(Number(entry.get("length")));
    await using file = await open(join(dirname(path), entry.get("location")!));
    await file.read(bytes, 0, bytes.length, Number(entry.get("offset")));
    const floats =
      dataType === 10
        ? f16ToF32(new Uint16Array(bytes.buffer))
        : new Float32Array(bytes.buffer, 0, Math.floor(bytes.length / 4));
    const sizes = dims.map((size) => (typeof size === "number" ? size : size.toNumber()));
    found.set(name, { name, dims: sizes, type: dataType, bytes: () => bytes, floats: () => floats });
  }
  return found;
}
