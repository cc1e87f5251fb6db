import { FtError } from "@ft/tensor";
import type { JsonKeys } from "./json-keys.ts";
import type { PartialConfig } from "./train-config.ts";

/** Sizes of a batch under our names, with the path that says so. */
export interface DeepspeedBatch {
  readonly sizes: readonly {
    readonly key: "batchSize" | "accumulation";
    readonly path: string;
    readonly value: number | undefined;
  }[];
  readonly notes: readonly string[];
}

const names = {
  total: "train_batch_size",
  micro: "train_micro_batch_size_per_gpu",
  steps: "gradient_accumulation_steps",
} as const;

/**
 * DeepSpeed's three batch sizes: all = micro-batch x accumulation x processes, of which there is one. Two give the
 * third; what the file leaves open is taken from the rest of the configuration.
 */
export function deepspeedBatch(keys: JsonKeys, config: PartialConfig, flags: PartialConfig): DeepspeedBatch {
  const count = { min: 1, whole: true };
  const total = keys.number(names.total, count);
  const micro = keys.number(names.micro, count);
  const steps = keys.number(names.steps, count);
  const given = [
    { key: "batchSize" as const, path: names.micro, value: micro },
    { key: "accumulation" as const, path: names.steps, value: steps },
  ];
  if (total === undefined) return { sizes: given, notes: [] };
  if (micro !== undefined && steps !== undefined && micro * steps !== total)
    throw inconsistent(keys, total, `${names.micro} ${micro} x ${names.steps} ${steps}`, micro * steps);

  const m = flags.batchSize ?? micro ?? config.batchSize;
  const a = flags.accumulation ?? steps ?? config.accumulation;
  const said = (value: number | undefined, path: string, key: string): string => (value === undefined ? key : path);
  const mName = `${said(flags.batchSize === undefined ? micro : undefined, names.micro, "batchSize")} ${m}`;
  const aName = `${said(flags.accumulation === undefined ? steps : undefined, names.steps, "accumulation")} ${a}`;
  if (m !== undefined && a !== undefined) {
    if (m * a === total) return { sizes: given, notes: [] };
    if (flags.batchSize === undefined && flags.accumulation === undefined)
      throw inconsistent(keys, total, `${mName} x ${aName}`, m * a);
    return { sizes: given, notes: [`${names.total} ${total} gives way to ${mName} x ${aName}`] };
  }
  const known = m ?? a ?? total;
  const rest = total / known;
  if (!Number.isInteger(rest))
    throw new FtError(
      "config",
      `${keys.file}: ${names.total} ${total} is no multiple of ${m === undefined ? aName : mName}`,
      `${names.total} is ${names.micro} x ${names.steps} x 1 process`,
    );
  const [batchSize, accumulation] = m !== undefined ? [m, rest] : a !== undefined ? [rest, a] : [total, 1];
  return {
    sizes: [
      { key: "batchSize", path: names.total, value: batchSize },
      { key: "accumulation", path: names.total, value: accumulation },
    ],
    notes: [],
  };
}

function inconsistent(keys: JsonKeys, total: number, product: string, is: number): FtError {
  return new FtError(
    "config",
    `${keys.file}: ${names.total} is ${total}, but ${product} x 1 process is ${is}`,
    `${names.total} is ${names.micro} x ${names.steps} x 1 process: correct one of the three`,
  );
}
