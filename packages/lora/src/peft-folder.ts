import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { LinearHost } from "@ft/nn";
import { type DataOf, type FloatDType, FtError, type Parameter, sameShape, showShape } from "@ft/tensor";
import { openSafetensors, readJsonFile, type WeightEntry, writeFileAtomic, writeSafetensors } from "@ft/weights";
import { applyLora, type LoraAdapter } from "./adapter.ts";
import { baseFingerprint } from "./fingerprint.ts";
import { fromPeftConfig, toPeftConfig } from "./peft-config.ts";

const configName = "adapter_config.json";
const weightsName = "adapter_model.safetensors";
/** where the weights' file says which base they belong to; PEFT does not look at it */
const fingerprintKey = "base_fingerprint";

/** Writes an adapter as PEFT reads it: adapter_config.json and adapter_model.safetensors, which says what base it belongs to. */
export async function saveAdapter(adapter: LoraAdapter, folder: string, baseModel?: string): Promise<void> {
  await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
    throw new FtError("io", `[lora] ${folder} cannot be created`, "choose a folder that can be written", { cause });
  });
  const entries = [...adapter.parameters()].map(([name, value]) => entry(name, value));
  const metadata = new Map([
    ["format", "pt"],
    [fingerprintKey, await baseFingerprint(adapter.host)],
  ]);
  await writeSafetensors(join(folder, weightsName), entries, metadata);
  const paths = adapter.summary().layers.map(({ path }) => path);
  const config = toPeftConfig(adapter.config, paths, baseModel);
  await writeFileAtomic(join(folder, configName), `${JSON.stringify(config, null, 2)}\n`);
}

function entry(name: string, value: Parameter): WeightEntry {
  return { name, dtype: value.dtype, shape: value.shape, data: () => value.read() };
}

/** "3 tensors are missing (first, …)". */
function counted(names: readonly string[], how: string): string {
  return `${names.length} tensors are ${how}${names.length > 0 ? ` (${names[0]})` : ""}`;
}

/** How loadAdapter takes an adapter. */
export interface LoadAdapterOptions {
  /** also one that says that it was trained over another base */
  readonly anyBase?: boolean;
}

/**
 * Puts the adapter of a PEFT folder over a model. Every tensor must find its place, and every place its tensor. Errors: "config"
 * for an adapter that says that it was trained over another base; those of PEFT do not say.
 */
export async function loadAdapter(
  host: LinearHost,
  folder: string,
  { anyBase = false }: LoadAdapterOptions = {},
): Promise<LoraAdapter> {
  const file = join(folder, configName);
  const json = await readJsonFile(file);
  const config = fromPeftConfig(json, file);
  await using source = await openSafetensors(join(folder, weightsName));
  const fingerprint = source.metadata.get(fingerprintKey);
  if (!anyBase && typeof fingerprint === "string") await checkBase(host, folder, fingerprint, json);
  const adapter = applyLora(host, config);
  try {
    const wanted = adapter.parameters();
    const missing = [...wanted.keys()].filter((name) => !source.tensors.has(name));
    const unexpected = [...source.tensors.keys()].filter((name) => !wanted.has(name));
    if (missing.length > 0 || unexpected.length > 0)
      throw new FtError(
        "format",
        `[lora] ${source.path}: ${counted(missing, "missing")}, ${counted(unexpected, "unexpected")}`,
        "the adapter belongs to another model or another configuration",
      );
    const values = new Map<Parameter, DataOf[FloatDType]>();
    for (const [name, parameter] of wanted) {
      const shape = source.tensors.get(name)?.shape ?? [];
      if (!sameShape(shape, parameter.shape))
        throw new FtError(
          "shape",
          `[lora] ${source.path}: ${name} is ${showShape(shape)}, the model needs ${showShape(parameter.shape)}`,
          "the adapter belongs to a model of another size",
        );
      values.set(parameter, await source.read(name, parameter.dtype));
    }
    for (const [parameter, data] of values) parameter.write(data);
    return adapter;
  } catch (error) {
    adapter.remove();
    throw error;
  }
}

async function checkBase(host: LinearHost, folder: string, expected: string, json: unknown): Promise<void> {
  const found = await baseFingerprint(host);
  if (found === expected) return;
  const name: unknown = Object(json).base_model_name_or_path;
  throw new FtError(
    "config",
    `[lora] ${folder} was trained over another base (norms ${expected.slice(0, 12)}…, this model's ${found.slice(0, 12)}…)`,
    typeof name === "string" ? `use it with ${name}` : "use it with the model it was trained over",
  );
}
