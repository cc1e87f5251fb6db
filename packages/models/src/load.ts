import { join } from "node:path";
import { DenseLinear, inverseFrequencies, type Linear, type LinearFormat } from "@ft/nn";
import { type Axes, type Backend, type FloatDType, FtError, isFloat, type Parameter, tensor, wideOf } from "@ft/tensor";
import { loadTensor, openWeights, readJsonFile, type WeightSource } from "@ft/weights";
import { configFromGguf } from "./config/from-gguf.ts";
import { configFromHf } from "./config/from-hf.ts";
import type { LlamaConfig } from "./config/llama-config.ts";
import { quantMethod } from "./config/quant-method.ts";
import { unexpressedDivisors, withScaling } from "./config/rope-from-divisors.ts";
import { type Frequencies, LlamaBlock } from "./llama/block.ts";
import { Llama } from "./llama/llama.ts";
import { hasBias, type Projection, projectionShape } from "./llama/names.ts";
import { weightMap } from "./llama/weight-map.ts";

/** Where loadModel puts the weights, and in which dtypes. */
export interface LoadModelOptions {
  readonly backend: Backend;
  /**
   * what activations are computed in, f32 by default; f64 is for gradient checks. In bf16 and f16 they take half the
   * memory; sums inside an op, the loss, scores and adapters are f32 all the same.
   */
  readonly dtype?: FloatDType;
  /**
   * what matrices are held in. "stored": bf16 and f16 as the file has them, at half the size, anything else in f32.
   * "narrowed": the same, but for f32 and blocks of GGUF in `dtype` where that is bf16 or f16: what activations of 16 bits are
   * multiplied with, and does not train, need not be wider. Or all in one dtype. What trains should be f32: 16 bits
   * swallow small updates. Norms and biases are always held in f32 (f64 for f64).
   */
  readonly weights?: "stored" | "narrowed" | FloatDType;
  /** how the projections of the blocks are held: a quantised format reads its own folders and quantises others on the way */
  readonly format?: LinearFormat;
}

type Weight = <const A extends Axes>(name: string, axes: A) => Promise<Parameter<FloatDType, A>>;
type Projected = (path: string, name: Projection) => Promise<Linear>;

/** A causal language model from a Hugging Face folder (config.json and safetensors) or a .gguf file. */
export async function loadModel(path: string, options: LoadModelOptions): Promise<Llama> {
  await using source = await openWeights(path);
  return await loadModelFrom(source, await readModelFacts(path, source, options.format), options);
}

/** What loadModel finds beside the weights. */
export interface ModelFacts {
  readonly config: LlamaConfig;
  /** the folder says that its weights are quantised in the format that is given */
  readonly quantized: boolean;
}

/** The same of tensors that somebody else opened, or only describes: a plan has a config and no weights. */
export async function loadModelFrom(
  source: WeightSource,
  { config, quantized }: ModelFacts,
  options: LoadModelOptions,
): Promise<Llama> {
  const { backend, format, dtype = "f32", weights = dtype === "f64" ? "f64" : "stored" } = options;
  if (!isFloat(dtype) || !backend.dtypes.has(dtype))
    throw new FtError("config", `[loadModel] dtype is ${dtype}`, "use f32, bf16 or f16, as the backend holds them");
  const stored = weightMap(source, config, format);
  const made: { dispose(): void }[] = [];
  const weight: Weight = async (name, axes) => {
    const { name: at, ...rest } = stored.get(name) ?? { name };
    const held = axes.length === 1 ? wideOf(dtype) : matrixDtype(source, at, { backend, dtype, weights });
    const loaded = await loadTensor(source, at, backend, { dtype: held, axes, ...rest });
    made.push(loaded);
    return loaded;
  };
  const projected: Projected = async (path, projection) => {
    const name = `${path}.weight`;
    const bias = hasBias(config, projection) ? await weight(`${path}.bias`, ["out"]) : undefined;
    const { name: at, transform } = stored.get(name) ?? { name };
    const shape = projectionShape(config, projection);
    const linear = await format?.load({
      ...{ path, source, name: at, shape, dtype, backend, quantized },
      ...(transform && { transform }),
      ...(bias && { bias }),
    });
    if (linear === undefined) return new DenseLinear(await weight(name, ["out", "in"]), bias);
    if (bias) made.splice(made.indexOf(bias), 1);
    made.push(linear);
    return linear;
  };
  try {
    const embedding = await weight("model.embed_tokens.weight", ["vocab", "hidden"]);
    const blocks: LlamaBlock[] = [];
    for (let layer = 0; layer < config.layers; layer++) blocks.push(await loadBlock(config, layer, weight, projected));
    const norm = await weight("model.norm.weight", ["hidden"]);
    const head = config.tieWordEmbeddings ? embedding : await weight("lm_head.weight", ["vocab", "hidden"]);
    const frequencies = await loadFrequencies(backend, config, source);
    return new Llama(config, backend, dtype, { embedding, blocks, norm, head, frequencies });
  } catch (error) {
    for (const loaded of made) loaded.dispose();
    throw error;
  }
}

/** The file's own dtype where it is a half that the backend can hold, unless another is asked for. */
function matrixDtype(
  source: WeightSource,
  name: string,
  { backend, dtype, weights }: Required<Pick<LoadModelOptions, "backend" | "dtype" | "weights">>,
): FloatDType {
  if (weights !== "stored" && weights !== "narrowed") return weights;
  const host = source.tensors.get(name)?.host;
  if ((host === "bf16" || host === "f16") && backend.dtypes.has(host)) return host;
  return weights === "narrowed" ? dtype : wideOf(dtype);
}

async function loadBlock(
  config: LlamaConfig,
  layer: number,
  weight: Weight,
  projected: Projected,
): Promise<LlamaBlock> {
  const at = `model.layers.${layer}`;
  const linear = (path: Projection): Promise<Linear> => projected(`${at}.${path}`, path);
  return new LlamaBlock(config, {
    inputNorm: await weight(`${at}.input_layernorm.weight`, ["hidden"]),
    postAttentionNorm: await weight(`${at}.post_attention_layernorm.weight`, ["hidden"]),
    linears: {
      "self_attn.q_proj": await linear("self_attn.q_proj"),
      "self_attn.k_proj": await linear("self_attn.k_proj"),
      "self_attn.v_proj": await linear("self_attn.v_proj"),
      "self_attn.o_proj": await linear("self_attn.o_proj"),
      "mlp.gate_proj": await linear("mlp.gate_proj"),
      "mlp.up_proj": await linear("mlp.up_proj"),
      "mlp.down_proj": await linear("mlp.down_proj"),
    },
  });
}

/** From the config; divided as a GGUF file says where no config expresses that. */
async function loadFrequencies(backend: Backend, config: LlamaConfig, source: WeightSource): Promise<Frequencies> {
  const values = inverseFrequencies({ theta: config.ropeTheta, headDim: config.headDim, scaling: config.ropeScaling });
  const divisors = await unexpressedDivisors(source, config);
  for (const [i, divisor] of divisors?.entries() ?? []) values[i]! /= divisor;
  return tensor(backend, "f32", ["frequency"], [values.length], values);
}

/** The model's config from beside its weights (config.json of a folder, the metadata of a GGUF file), and whether it says that they are quantised. */
export async function readModelFacts(
  path: string,
  source: WeightSource,
  format: LinearFormat | undefined,
): Promise<ModelFacts> {
  if (source.format !== "gguf") {
    const file = join(path, "config.json");
    const json = await readJsonFile(file);
    return { config: configFromHf(json, file), quantized: isQuantized(json, file, format) };
  }
  const table = source.tensors.get("token_embd.weight");
  if (table === undefined)
    throw new FtError("format", `[model] ${path} has no token_embd.weight`, "it holds no language model");
  const facts = { tensors: new Set(source.tensors.keys()), vocabSize: table.shape[0] ?? 0 };
  const config = await withScaling(source, configFromGguf(source.metadata, path, facts));
  return { config, quantized: false };
}

/** Whether a folder's config says that it is quantised; refuses a quantisation that `format` does not read. */
function isQuantized(json: unknown, file: string, format: LinearFormat | undefined): boolean {
  const method = quantMethod(json, file);
  if (method === undefined) return false;
  if (method === format?.quantMethod) return true;
  const read = format ? `${format.quantMethod} is read here; ` : "";
  throw new FtError(
    "unsupported",
    `[model] ${file}: quantization_config has quant_method "${method}"`,
    `${read}use the model that it was made from, or a .gguf file`,
  );
}

/** config.json of a Hugging Face folder. */
export async function readHfConfig(folder: string): Promise<LlamaConfig> {
  const file = join(folder, "config.json");
  return configFromHf(await readJsonFile(file), file);
}
