import type { LlamaConfig } from "@ft/models";

/** A weight on its way into another format. */
export interface SourceTensor {
  /** Hugging Face's name: "model.layers.0.mlp.up_proj.weight" */
  readonly name: string;
  /** row-major, outermost first; a linear weight is [out, in] */
  readonly shape: readonly number[];
  /** what its file holds; f32 for quantised blocks and codes */
  readonly dtype: "f32" | "bf16" | "f16";
}

/**
 * A model on its way into another format: every weight as floats under Hugging Face's names, adapters merged, read in windows.
 * A tied head is not among the tensors. Nothing of the weights stays in memory.
 */
export interface ExportSource extends AsyncDisposable {
  /** the folder or file it comes from */
  readonly path: string;
  readonly config: LlamaConfig;
  /** what config.json says, made from the metadata of a .gguf file; writeCompanions takes a former quantisation out of it */
  readonly hfConfig: Readonly<Record<string, unknown>>;
  /** tokenizer, template and generation config by file name: "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", … */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** in the order of the model's layers */
  readonly tensors: ReadonlyMap<string, SourceTensor>;
  /** `count` values from the flat index `start` on, row-major, in f32. Errors: "missing", "shape", "numeric" (not finite). */
  readWindow(name: string, start: number, count: number): Promise<Float32Array<ArrayBuffer>>;
}
