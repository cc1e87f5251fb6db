import type { LlamaConfig } from "@ft/models";
import { type Backend, FtError } from "@ft/tensor";
import { Decoder } from "./decoder.ts";
import { GraphBuilder, type Weight } from "./graph.ts";
import { block4Layout } from "./layouts/block4.ts";
import { bnb4Layout } from "./layouts/bnb4.ts";
import { floatLayout } from "./layouts/float.ts";
import { int8Layout } from "./layouts/int8.ts";
import type { Layout, LayoutContext } from "./layouts/layout.ts";
import type { OnnxModel, OnnxTensor } from "./proto.ts";
import type { WeightReader } from "./reader.ts";

/** A kind of ONNX file, by the name of the dtype that loads it in transformers.js. */
export type OnnxType = "fp32" | "fp16" | "int8" | "q8" | "q4" | "q4f16" | "bnb4";

interface TypeFacts {
  /** behind "model" in the file's name */
  readonly suffix: string;
  readonly activations: "f32" | "f16";
  readonly layout: (context: LayoutContext, backend: Backend | undefined) => Layout;
}

const types: { readonly [T in OnnxType]: TypeFacts } = {
  fp32: { suffix: "", activations: "f32", layout: floatLayout },
  fp16: { suffix: "_fp16", activations: "f16", layout: floatLayout },
  int8: { suffix: "_int8", activations: "f32", layout: int8Layout },
  // the same file under the name that transformers.js takes in a browser without WebGPU
  q8: { suffix: "_quantized", activations: "f32", layout: int8Layout },
  q4: { suffix: "_q4", activations: "f32", layout: block4Layout },
  q4f16: { suffix: "_q4f16", activations: "f16", layout: block4Layout },
  bnb4: { suffix: "_bnb4", activations: "f32", layout: nf4 },
};

/** All types, by name. */
export const onnxTypes: readonly OnnxType[] = Object.keys(types).filter(isOnnxType);

/** What others call them. */
const otherNames: ReadonlyMap<string, OnnxType> = new Map<string, OnnxType>([
  ...(["f32", "float32", "float", "fp-32"] as const).map((name) => [name, "fp32"] as const),
  ...(["f16", "float16", "half", "fp-16"] as const).map((name) => [name, "fp16"] as const),
  ...(["i8", "uint8"] as const).map((name) => [name, "int8"] as const),
  ...(["quantized", "8bit"] as const).map((name) => [name, "q8"] as const),
  ...(["int4", "4bit", "q4_0", "matmulnbits"] as const).map((name) => [name, "q4"] as const),
  ...(["nf4", "bnb", "bitsandbytes", "matmulbnb4"] as const).map((name) => [name, "bnb4"] as const),
]);

/** The type that another name for it stands for: "nf4" is bnb4, "float16" fp16. */
export function meantOnnxType(name: string): OnnxType | undefined {
  return otherNames.get(name.toLowerCase());
}

/** Whether this is the name of a type that ONNX exports have. */
export function isOnnxType(name: string): name is OnnxType {
  return Object.hasOwn(types, name);
}

/** Names of types as types, each once. Errors: "input". */
export function checkTypes(names: readonly string[]): OnnxType[] {
  if (names.length === 0)
    throw new FtError("input", "[onnx] there are no types", `name some of ${onnxTypes.join(", ")}`);
  const checked = names.map((name) => {
    if (isOnnxType(name)) return name;
    const meant = meantOnnxType(name);
    const hint = meant === undefined ? "" : `did you mean "${meant}"? `;
    throw new FtError("input", `[onnx] the type "${name}" is unknown`, `${hint}known: ${onnxTypes.join(", ")}`);
  });
  return [...new Set(checked)];
}

/** The file's name in the folder `onnx`: "model_q4.onnx". */
export function onnxFile(type: OnnxType): string {
  return `model${types[type].suffix}.onnx`;
}

/** The dtype of its key/value cache, in transformers.js' words. */
export const cacheDType = (type: OnnxType): "float32" | "float16" =>
  types[type].activations === "f16" ? "float16" : "float32";

/** A model's graph and the weights that it asks for. */
export interface DecoderGraph {
  readonly weights: readonly Weight[];
  /** the model file, when it is known where its weights lie */
  model(external: readonly OnnxTensor[]): OnnxModel;
}

/** The decoder of a model in a type. Operators of ONNX are those of version 17. Errors: "config" (a type that needs a backend). */
export function decoderGraph(
  config: LlamaConfig,
  reader: WeightReader,
  { type, backend }: { readonly type: OnnxType; readonly backend: Backend | undefined },
): DecoderGraph {
  const { activations, layout } = types[type];
  const graph = new GraphBuilder();
  const context = { graph, reader, activations };
  const decoder = new Decoder(config, context, layout(context, backend));
  decoder.build();
  const opsets = new Map([["", 17]]);
  if (graph.domains.has("com.microsoft")) opsets.set("com.microsoft", 1);
  return {
    weights: graph.weights,
    model: (external) => ({
      producer: "ft",
      opsets,
      graph: {
        name: "decoder",
        nodes: graph.nodes,
        initializers: [...graph.constants, ...external],
        inputs: decoder.inputs,
        outputs: decoder.outputs,
      },
    }),
  };
}

function nf4(context: LayoutContext, backend: Backend | undefined): Layout {
  if (backend) return bnb4Layout(context, backend);
  throw new FtError("config", "[onnx] the type bnb4 is quantised by a backend", "pass options.backend");
}
