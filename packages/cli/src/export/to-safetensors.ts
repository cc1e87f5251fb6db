import { loadTokenizer } from "@ft/data";
import { asWeights, exportSafetensors } from "@ft/export";
import { type CausalLm, hfDTypes, loadModel, loadModelFrom } from "@ft/models";
import { parseMemory } from "../plan/machine.ts";
import { several } from "../report/numbers.ts";
import { bytes as size } from "../run/download.ts";
import { type CheckResult, compare, describeKl } from "./check.ts";
import { checkExport } from "./check-export.ts";
import { type Finished, finishExport } from "./finish.ts";
import type { ExportJob } from "./job.ts";
import type { MergeBase } from "./opened.ts";

/**
 * A merged model as a Hugging Face folder, checked against base and adapter. Both bases of a QLoRA adapter are measured.
 * @param use how the folder is served
 */
export async function toSafetensors(job: ExportJob, use?: Finished["use"]): Promise<void> {
  const { opened, flags, backend, signal } = job;
  const { out, dtype, base } = flags;
  const shardSize = flags.shardSize === undefined ? undefined : parseMemory(flags.shardSize, "--shard-size");
  await using source = await opened.source(base);
  if (flags.check) await opened.tokenizer(); // a check without it fails; better before the work than after
  const written = await exportSafetensors(source, out, {
    signal,
    ...(dtype && { dtype }),
    ...(shardSize !== undefined && { shardSize }),
  });
  let other: { readonly base: MergeBase; readonly kl: CheckResult } | undefined;
  const { lines, kl } = await checkExport(job, source, {
    tokenizer: () => loadTokenizer(out),
    model: () => loadModel(out, { backend }),
    also: async (reference, prompts) => {
      other = await otherBase(job, reference, prompts);
      return other
        ? [`merged into the ${other.base} base instead (--base ${other.base}): ${describeKl(other.kl)}`]
        : [];
    },
  });
  const nearer =
    other !== undefined && kl !== undefined && 10 * other.kl.meanKl < kl.meanKl
      ? [`much nearer to what was trained: --base ${other.base}`]
      : [];
  const merged = opened.adapter === undefined ? "" : `, adapter merged into the base as ${base}`;
  await finishExport(job, {
    form: `${hfDTypes[written.dtype]} safetensors${merged}`,
    checks: [...lines, ...nearer],
    ...(use && { use }),
    saved: `${size(written.bytes)} in ${several(written.files.length, "file")}, ${written.dtype}`,
    document: { base, dtype: written.dtype, files: written.files, bytes: written.bytes, check: kl ?? null, other },
  });
}

/** The base that was not chosen, of an adapter that was trained over a quantised one. */
async function otherBase(
  { opened, flags, backend, signal }: ExportJob,
  reference: CausalLm,
  prompts: number[][],
): Promise<{ readonly base: MergeBase; readonly kl: CheckResult } | undefined> {
  if (opened.trainedOver === undefined) return undefined;
  const base = flags.base === "stored" ? "quantized" : "stored";
  await using source = await opened.source(base);
  const { weights, facts } = asWeights(source);
  return { base, kl: await compare(reference, await loadModelFrom(weights, facts, { backend }), prompts, signal) };
}
