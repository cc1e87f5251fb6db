import type { Tokenizer } from "@ft/data";
import { asWeights, type ExportSource } from "@ft/export";
import { type CausalLm, loadModelFrom } from "@ft/models";
import { bytes as size } from "../run/download.ts";
import { type CheckResult, checkPrompts, compare, describeKl, referenceModel, tooLargeToCheck } from "./check.ts";
import type { ExportJob } from "./job.ts";
import type { MergeBase } from "./opened.ts";
import { orWithdraw } from "./withdraw.ts";

/** What was written, to be compared with what it was made from. */
export interface Exported {
  /** the tokenizer that came with it; undefined where the form has none of its own */
  readonly tokenizer?: () => Promise<Tokenizer>;
  /** the model as another program would see it; undefined where no loader of ours reads the form */
  readonly model?: () => Promise<CausalLm>;
  /** false where there is no choice of bases */
  readonly bases?: boolean;
  /** more comparisons with the same reference and prompts; gives lines of the card */
  readonly also?: (reference: CausalLm, prompts: number[][]) => Promise<readonly string[]>;
}

/** What a check found, as lines for people and as numbers. */
export interface Check {
  readonly lines: readonly string[];
  readonly kl: CheckResult | undefined;
  /** the same adapter merged into the base that was not chosen, of two */
  readonly other?: { readonly base: MergeBase; readonly kl: CheckResult } | undefined;
}

/**
 * The check that every export ends with, unless it is off or does not fit: tokens and template, then the distributions of next tokens.
 * Where it cannot be made, or finds other tokens, the export is taken away again.
 */
export function checkExport(job: ExportJob, source: ExportSource, exported: Exported): Promise<Check> {
  return orWithdraw(job.flags.out, () => checked(job, source, exported));
}

async function checked(job: ExportJob, source: ExportSource, exported: Exported): Promise<Check> {
  const { opened, flags, backend, signal } = job;
  const { tokenizer, model, also } = exported;
  if (!flags.check) return { lines: ["not checked: --no-check was given"], kl: undefined };
  const own = await opened.tokenizer();
  const theirs = (await tokenizer?.()) ?? own;
  const prompts = checkPrompts(own, theirs, source.config.maxPositions);
  const what = own.chatTemplate === undefined ? "tokens (the model has no chat template)" : "tokens and template";
  const same = tokenizer ? [`${what}: the same for ${prompts.length} prompts`] : [];
  if (!model && !also) return { lines: same, kl: undefined };
  const tooLarge = tooLargeToCheck(source);
  if (tooLarge !== undefined)
    return { lines: [...same, `not compared: it takes ${size(tooLarge)} of memory for two models`], kl: undefined };
  using reference = await referenceModel(opened, backend, flags.anyBase);
  const kl = model && (await compare(reference, await model(), prompts, signal));
  const other = exported.bases === false ? undefined : await otherBase(job, reference, prompts);
  const from = opened.adapter === undefined ? "the model it was made from" : "base and adapter";
  return {
    lines: [
      ...same,
      ...(kl ? [`against ${from}: ${describeKl(kl)}`] : []),
      ...((await also?.(reference, prompts)) ?? []),
      ...(other ? [`merged into the ${other.base} base instead (--base ${other.base}): ${describeKl(other.kl)}`] : []),
      ...(other && kl && 10 * other.kl.meanKl < kl.meanKl
        ? [`much nearer to what was trained: --base ${other.base}`]
        : []),
    ],
    kl,
    other,
  };
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
