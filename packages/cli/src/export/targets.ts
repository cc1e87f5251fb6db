import { ggufFileTypes, meantOnnxType, onnxTypes } from "@ft/export";
import { FtError } from "@ft/tensor";
import { suggestValue } from "../config/suggest.ts";
import type { Use } from "./card.ts";
import type { ExportFlags, ExportJob } from "./job.ts";
import { quoted } from "./shell.ts";
import { toAwq } from "./to-awq.ts";
import { bnbTypes, toBnb } from "./to-bnb.ts";
import { toGguf } from "./to-gguf.ts";
import { loraGgufTypes, toLoraGguf } from "./to-lora-gguf.ts";
import { toOnnx } from "./to-onnx.ts";
import { toSafetensors } from "./to-safetensors.ts";

/** Something that a model can be exported to. */
interface Target {
  /** values of --type, the usual one first; empty where there is nothing to choose */
  readonly types: readonly string[];
  /** whether --type may name several, with commas */
  readonly several?: boolean;
  /** the type that another name for it stands for */
  readonly meant?: (type: string) => string | undefined;
  /** the flags that it has a use for, of those that not every target has */
  readonly flags: readonly OwnFlag[];
  readonly run: (job: ExportJob) => Promise<void>;
}

/** Flags that only some targets use, by the value that they have where they are not given. */
const ownFlags: Readonly<Record<OwnFlag, unknown>> = {
  base: "stored",
  shardSize: undefined,
  dtype: undefined,
  blockSize: undefined,
  doubleQuant: true,
  computeDtype: undefined,
  data: undefined,
  groupSize: undefined,
  calibrationRows: undefined,
};
type OwnFlag = Exclude<keyof ExportFlags, "model" | "out" | "adapter" | "anyBase" | "check" | "type" | "threads">;

/** By the word that --to takes. */
const targets: Readonly<Record<string, Target>> = {
  safetensors: { types: [], flags: ["base", "shardSize", "dtype"], run: (job) => toSafetensors(job) },
  vllm: { types: [], flags: ["base", "shardSize", "dtype"], run: (job) => toSafetensors(job, servedByVllm) },
  gguf: { types: ["F16", ...ggufFileTypes.filter((type) => type !== "F16")], flags: ["base"], run: toGguf },
  "lora-gguf": { types: loraGgufTypes, flags: [], run: toLoraGguf },
  bnb: { types: bnbTypes, flags: ["blockSize", "doubleQuant", "computeDtype"], run: toBnb },
  awq: {
    types: [],
    flags: ["base", "shardSize", "dtype", "data", "groupSize", "calibrationRows"],
    run: (job) => toAwq(job, servedByVllm),
  },
  onnx: { types: onnxTypes, flags: ["base", "shardSize", "data"], several: true, meant: meantOnnxType, run: toOnnx },
};

/**
 * The target of a name, and which of its types are meant: one, but for targets that take several, and none where there are none.
 * Code "config" for those that there are not, with what may be meant.
 */
export function targetOf(to: string, type?: string): { readonly target: Target; readonly types: readonly string[] } {
  const target = Object.hasOwn(targets, to) ? targets[to] : undefined;
  if (target === undefined) {
    const names = Object.keys(targets);
    throw new FtError("config", `there is no export to "${to}"${meant(to, names)}`, `use --to ${names.join(", ")}`);
  }
  if (type === undefined) return { target, types: target.types.slice(0, 1) };
  if (target.types.length === 0)
    throw new FtError("config", `--type ${type} is given with --to ${to}, which has no types`, "leave it out");
  const given = target.several ? type.split(",").map((each) => each.trim()) : [type];
  return { target, types: [...new Set(given.map((each) => typeOf(target, to, each)))] };
}

/** Refuses flags that a target has no use for: whoever gives one expects it to do something. Code "config". */
export function checkFlags(to: string, { flags: used }: Target, given: ExportFlags): void {
  for (const [name, usual] of Object.entries(ownFlags)) {
    const value: unknown = Reflect.get(given, name);
    // a merge is made without what only exports have
    if (value === undefined || value === usual || used.some((one) => one === name)) continue;
    const flag = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    const shown = value === false ? `--no-${flag}` : `--${flag} ${value}`;
    throw new FtError("config", `${shown} is given with --to ${to}, which has no use for it`, "leave it out");
  }
}

function typeOf({ types, several, meant: other }: Target, to: string, type: string): string {
  const found = types.find((each) => each.toLowerCase() === type.toLowerCase());
  if (found !== undefined) return found;
  const near = other?.(type);
  throw new FtError(
    "config",
    `--type ${type} is none of ${to}'s${near === undefined ? meant(type, types) : `; did you mean ${near}?`}`,
    `use --type ${types.join(", ")}${several ? ", or several with commas between" : ""}`,
  );
}

function meant(given: string, names: readonly string[]): string {
  const near = suggestValue(given, names);
  return near === undefined ? "" : `; did you mean ${near}?`;
}

function servedByVllm(folder: string): readonly [Use] {
  const text = "Served with vLLM, which reads the template from the folder:";
  return [{ text, command: `vllm serve ${quoted(folder)}` }];
}
