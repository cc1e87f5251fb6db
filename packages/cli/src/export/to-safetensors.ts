import { join } from "node:path";
import { loadTokenizer } from "@ft/data";
import { asWeights, exportSafetensors } from "@ft/export";
import { hfDTypes, loadModel, loadModelFrom, type SaveDType } from "@ft/models";
import type { Backend } from "@ft/tensor";
import { writeFileAtomic } from "@ft/weights";
import type { Io } from "../io.ts";
import { parseMemory } from "../plan/machine.ts";
import { bytes as size } from "../run/download.ts";
import { modelCard } from "./card.ts";
import { type CheckResult, checkPrompts, compare, describeKl, referenceModel, tooLargeToCheck } from "./check.ts";
import type { MergeBase, Opened } from "./opened.ts";

export interface SafetensorsFlags {
  readonly out: string;
  readonly shardSize?: string;
  readonly dtype?: SaveDType;
  readonly base: MergeBase;
  readonly check: boolean;
  readonly anyBase?: boolean;
}

/** What is done with a folder of safetensors beside writing it. */
export interface Place {
  readonly backend: Backend;
  /** the base as it was named */
  readonly named: string;
  readonly io: Io;
  readonly signal: AbortSignal;
  /** how the folder is served */
  readonly use?: { readonly text: string; readonly command: string };
}

/** A merged model as a Hugging Face folder, checked against base and adapter. Both bases of a QLoRA adapter are measured. */
export async function toSafetensors(opened: Opened, flags: SafetensorsFlags, place: Place): Promise<void> {
  const { backend, named, io, signal, use } = place;
  const { out, dtype, base, anyBase = false } = flags;
  const shardSize = flags.shardSize === undefined ? undefined : parseMemory(flags.shardSize);
  await using source = await opened.source(base);
  const written = await exportSafetensors(source, out, {
    signal,
    ...(dtype && { dtype }),
    ...(shardSize !== undefined && { shardSize }),
  });
  const checks: string[] = [];
  let kl: CheckResult | undefined;
  let other: { readonly base: MergeBase; readonly kl: CheckResult } | undefined;
  const tooLarge = flags.check ? tooLargeToCheck(source) : undefined;
  if (!flags.check) checks.push("not checked: --no-check was given");
  else if (tooLarge !== undefined) checks.push(`not checked: it takes ${size(tooLarge)} of memory for two models`);
  else {
    using reference = await referenceModel(opened, backend, anyBase);
    const [own, exported] = [await loadTokenizer(opened.model), await loadTokenizer(out)];
    const prompts = checkPrompts(own, exported, source.config.maxPositions);
    checks.push(`tokens and template: the same for ${prompts.length} prompts`);
    kl = await compare(reference, await loadModel(out, { backend }), prompts);
    const what = opened.adapter === undefined ? "the model it was made from" : "base and adapter";
    checks.push(`against ${what}: ${describeKl(kl)}`);
    if (opened.trainedOver !== undefined) {
      const rest: MergeBase = base === "stored" ? "quantized" : "stored";
      await using second = await opened.source(rest);
      const { weights, facts } = asWeights(second);
      other = { base: rest, kl: await compare(reference, await loadModelFrom(weights, facts, { backend }), prompts) };
      checks.push(`merged into the ${rest} base instead (--base ${rest}): ${describeKl(other.kl)}`);
    }
  }
  const merged = opened.adapter === undefined ? "" : `, adapter merged into the base as ${base}`;
  const form = `${hfDTypes[written.dtype]} safetensors${merged}`;
  const card = await modelCard({ base: named, adapter: opened.adapter, form, checks, ...(use && { use }) });
  await writeFileAtomic(join(out, "README.md"), card);
  for (const line of checks) io.note(`check       ${line}`);
  io.note(`saved       ${out}; ${size(written.bytes)} in ${written.files.length} files, ${written.dtype}`);
  if (use) io.print(use.command);
  io.document({
    out,
    base,
    dtype: written.dtype,
    files: written.files,
    bytes: written.bytes,
    check: kl ?? null,
    other,
  });
}
