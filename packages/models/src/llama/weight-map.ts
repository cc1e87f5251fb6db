import type { LinearFormat } from "@ft/nn";
import { type DataOf, type FloatDType, FtError } from "@ft/tensor";
import type { WeightSource } from "@ft/weights";
import type { LlamaConfig } from "../config/llama-config.ts";
import { ggufName, parameterShapes, projectionOf } from "./names.ts";
import { pairedHeads, unpermuteRows } from "./row-pairs.ts";

const head = "lm_head.weight";

/** Where a weight lies in its file, the shape it must have, and how its values are put in order. */
export interface StoredWeight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly transform?: <T extends DataOf[FloatDType]>(data: T) => T;
}

/** The weights of a model by Hugging Face name, after checking that the file holds all of them and nothing else. */
export function weightMap(
  source: WeightSource,
  config: LlamaConfig,
  format?: LinearFormat,
): ReadonlyMap<string, StoredWeight> {
  // a config may say anything: every layer has weights, so this bounds what is made of it
  if (config.layers > source.tensors.size)
    throw new FtError(
      "format",
      `[model] ${source.path}: the config asks for ${config.layers} layers, the file has ${source.tensors.size} tensors`,
      "the config describes another model than the weights",
    );
  const stored = new Map<string, StoredWeight>();
  for (const [name, shape] of parameterShapes(config))
    stored.set(name, source.format === "gguf" ? ggufWeight(name, shape, config) : { name, shape });
  const expected = new Set([...stored.values()].map((weight) => weight.name));
  const missing = [...expected].filter((name) => !source.tensors.has(name));
  for (const own of format ? quantizedBeside(source, stored, format) : []) expected.add(own);
  const unexpected = [...source.tensors.keys()].filter((name) => !expected.has(name) && !ignorable(name));
  if (missing.length > 0 || unexpected.length > 0) throw mismatch(source.path, missing, unexpected);
  return stored;
}

/** The tensors beside quantised projections; refuses a quantised head, or whatever else is held as floats here. */
function quantizedBeside(
  source: WeightSource,
  stored: ReadonlyMap<string, StoredWeight>,
  format: LinearFormat,
): readonly string[] {
  const beside: string[] = [];
  for (const [name, { name: at }] of [...stored, [head, { name: head }] as const]) {
    const own = format.companions(source, at);
    if (own.length > 0 && projectionOf(name) === undefined)
      throw new FtError(
        "unsupported",
        `[model] ${source.path}: "${at}" is quantised (${own[0]} is there); only projections of blocks are read so`,
        `quantise the original again with llm_int8_skip_modules ["${name.replace(/\.weight$/, "")}"], or use the original`,
      );
    beside.push(...own);
  }
  return beside;
}

/** llama.cpp stores the rows of q and k in pairs; they are put back into halves. */
function ggufWeight(name: string, shape: readonly number[], config: LlamaConfig): StoredWeight {
  const count = pairedHeads(name, config);
  const at = { name: ggufName(name), shape };
  return count === undefined ? at : { ...at, transform: (data) => unpermuteRows(data, count, config.headDim) };
}

/** Tensors some files carry beside the weights: a copy of a tied head, precomputed rotary tables. */
function ignorable(name: string): boolean {
  return name === head || name === "rope_freqs.weight" || name.endsWith("rotary_emb.inv_freq");
}

function mismatch(path: string, missing: readonly string[], unexpected: readonly string[]): FtError {
  const some = (names: readonly string[]): string =>
    `${names.slice(0, 3).join(", ")}${names.length > 3 ? ", ..." : ""}`;
  const parts: string[] = [];
  if (missing.length > 0) parts.push(`${missing.length} weights are missing (${some(missing)})`);
  if (unexpected.length > 0) parts.push(`${unexpected.length} are unexpected (${some(unexpected)})`);
  return new FtError(
    "format",
    `[model] ${path}: ${parts.join("; ")}`,
    "the config describes another model than the weights",
  );
}
