import { loadAdapter } from "@ft/lora";
import {
  type Companions,
  type LlamaConfig,
  parameterShapes,
  readCompanions,
  readModelFacts,
  unexpressedDivisors,
} from "@ft/models";
import type { LinearFormat } from "@ft/nn";
import { bitsandbytesFormat } from "@ft/quant-nf4";
import { type Backend, FtError } from "@ft/tensor";
import { openWeights, type WeightSource } from "@ft/weights";
import type { ExportSource } from "./export-source.ts";
import { toHfConfig } from "./hf-config.ts";
import { Layers } from "./layers.ts";

/** How a model is opened for export. */
export interface ExportSourceOptions {
  /** decodes weights and merges adapters, one layer at a time */
  readonly backend: Backend;
  /** a LoRA adapter to merge: a PEFT folder */
  readonly adapter?: string;
  /** quantises each layer on the way, and decodes it again: the base that a QLoRA adapter was trained over */
  readonly through?: LinearFormat;
  /** beside or in place of the model's own: tokenizer and template of a .gguf file, whose metadata has them in another form; a chat template */
  readonly files?: ReadonlyMap<string, Uint8Array>;
  /** merge an adapter also when it says that it was trained over another base */
  readonly anyBase?: boolean;
}

/**
 * Opens a Hugging Face folder (floats or bitsandbytes) or a .gguf file for export. Memory: one layer's weight at a time, and the
 * adapter. Errors: as loadModel and loadAdapter give them; "config" for an adapter of another base, which it names; "unsupported"
 * for a .gguf file whose rope_freqs.weight is not Llama 3's scaling.
 */
export async function openExportSource(path: string, options: ExportSourceOptions): Promise<ExportSource> {
  const source = await openWeights(path);
  let opened: Layers | undefined;
  try {
    const format = options.through ?? bitsandbytesFormat();
    const facts = await readModelFacts(path, source, bitsandbytesFormat());
    // without its scaling the model is another
    if (await unexpressedDivisors(source, facts.config))
      throw new FtError(
        "unsupported",
        `[export] ${path}: no parameters of Llama 3's rotary scaling give the divisors in rope_freqs.weight, and other formats hold nothing else`,
        "export from the Hugging Face folder that the file was made from",
      );
    const { config, files } = await companionsOf(path, source, facts.config, options);
    const layers = new Layers(source, facts, options.through || facts.quantized ? format : undefined, options.backend);
    opened = layers;
    await layers.load();
    const { adapter, anyBase = false } = options;
    const merged = adapter === undefined ? undefined : await loadAdapter(layers, adapter, { anyBase });
    const tensors = new Map(
      [...parameterShapes(facts.config)].map(([name, shape]) => [name, layers.describe(name, shape)]),
    );
    return {
      ...{ path, config: facts.config, hfConfig: config, files, tensors },
      readWindow: (name, start, count) => layers.readWindow(name, start, count),
      async [Symbol.asyncDispose]() {
        merged?.remove();
        layers.dispose();
        await source.close();
      },
    };
  } catch (error) {
    opened?.dispose();
    await source.close();
    throw error;
  }
}

async function companionsOf(
  path: string,
  source: WeightSource,
  config: LlamaConfig,
  { files = new Map() }: ExportSourceOptions,
): Promise<Companions> {
  if (source.format === "gguf") return { config: toHfConfig(config), files };
  const found = await readCompanions(path);
  return { ...found, files: new Map([...found.files, ...files]) };
}
