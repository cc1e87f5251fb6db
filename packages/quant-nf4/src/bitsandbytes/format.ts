import type { Linear, LinearFormat, StoredLinear } from "@ft/nn";
import { type DataOf, FtError, sameShape, showShape } from "@ft/tensor";
import type { QuantType4bit } from "@ft/tensor/ops";
import { Int8Linear } from "../int8-linear.ts";
import { Nf4Linear } from "../nf4-linear.ts";
import { checkBlockSize } from "../quantize/block-size.ts";
import type { HeldDType, HostWeight } from "../quantize/host-weight.ts";
import { quantizeTo4bit } from "../quantize/quantize-4bit.ts";
import { quantizeToInt8 } from "../quantize/quantize-int8.ts";
import { quantizationConfig } from "./config.ts";
import { companionsOf, storedAs } from "./layout.ts";
import { read4bit } from "./read-4bit.ts";
import { readInt8 } from "./read-int8.ts";
import { entries4bit, entriesInt8 } from "./write.ts";

/** How weights are quantised that a file holds as floats, and what is said of them when they are written. */
export interface BitsandbytesOptions {
  /** nf4 by default */
  readonly type?: QuantType4bit | "int8";
  /** quantise absmax as well; 4-bit only, true by default */
  readonly doubleQuant?: boolean;
  /** 32, 64, … 4096; 4-bit only, 64 by default */
  readonly blockSize?: number;
  /** what other tools are told to compute in (`bnb_4bit_compute_dtype`); f32 by default. Here it is the dtype of x */
  readonly computeDtype?: HeldDType;
  /** modules left as floats, by whole path or by its end, as `llm_int8_skip_modules` names them: "down_proj", "layers.0.mlp.up_proj" */
  readonly skipModules?: readonly string[];
}

/**
 * The format of bitsandbytes for loadModel and saveModel of @ft/models: NF4, FP4 and int8. A folder that is quantised is
 * read as it is; other folders and GGUF files are quantised while they are loaded, one window of one tensor at a time.
 * Only the Linears of blocks are touched: head, embeddings and norms stay as they are.
 * Errors: "input" (block size), "numeric" (weights that are not finite), "missing" and "format" (statistics), each naming
 * the tensor and the file.
 */
export function bitsandbytesFormat(options: BitsandbytesOptions = {}): LinearFormat {
  const { type = "nf4", doubleQuant = true, blockSize = 64, computeDtype = "f32", skipModules = [] } = options;
  checkBlockSize(blockSize);
  // what load() has left as floats: other tools must be told when the model is saved
  const skipped = new Set<string>();
  return {
    quantMethod: "bitsandbytes",
    companions: companionsOf,
    async load(at) {
      const stored = storedAs(at.source, at.name);
      if (stored === "int8") return await readInt8(at);
      if (stored !== undefined) return await read4bit(at, stored);
      if (at.quantized || skipModules.some((name) => at.path === name || at.path.endsWith(`.${name}`))) {
        skipped.add(at.path);
        return undefined;
      }
      const from = await floatWeight(at);
      if (type === "int8") return await quantizeToInt8(at.backend, from, at.bias);
      return await quantizeTo4bit(at.backend, from, { type, blockSize, doubleQuant }, at.bias);
    },
    entries(path, linear) {
      if (linear instanceof Nf4Linear) return entries4bit(path, linear);
      return linear instanceof Int8Linear ? entriesInt8(path, linear) : undefined;
    },
    config: (linears: ReadonlyMap<string, Linear>) =>
      quantizationConfig(linears, { computeDtype, skipped: [...skipped].filter((path) => !linears.has(path)) }),
  };
}

/** A weight that a file holds as floats, in the file's own dtype where bitsandbytes has it. */
async function floatWeight({ source, name, shape, backend, transform }: StoredLinear): Promise<HostWeight> {
  const info = source.tensors.get(name);
  const at = `"${name}" of ${source.path}`;
  if (info === undefined || !sameShape(info.shape, shape))
    throw new FtError(
      info ? "shape" : "missing",
      `[bitsandbytes] ${at} is ${info ? showShape(info.shape) : "missing"}`,
      `the model's weight is ${showShape(shape)}`,
    );
  const half = (info.host === "bf16" || info.host === "f16") && backend.dtypes.has(info.host);
  const dtype: HeldDType = half && (info.host === "bf16" || info.host === "f16") ? info.host : "f32";
  if (transform === undefined)
    return { name: at, shape, dtype, read: (start, count) => source.readWindow(name, start, count, dtype) };
  // its rows change places: read as a whole
  const whole: DataOf[HeldDType] = transform(await source.read<HeldDType>(name, dtype));
  return { name: at, shape, dtype, read: async (start, count) => whole.slice(start, start + count) };
}
