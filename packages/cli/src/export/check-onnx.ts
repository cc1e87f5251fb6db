import { join } from "node:path";
import { rowLikelihood } from "@ft/eval";
import {
  type LogitKl,
  logitKl,
  type OnnxDecoder,
  type OnnxRuntime,
  type OnnxType,
  onnxFile,
  openOnnx,
  targetLikelihood,
} from "@ft/export";
import { type CausalLm, generate } from "@ft/models";
import { describeKl } from "./check.ts";
import type { ExportJob } from "./job.ts";
import { describePerplexity, type MeasuredRows, perplexityOver } from "./perplexity.ts";

/** What a file of one type is like in ONNX Runtime. */
export interface OnnxCheck extends LogitKl {
  readonly type: OnnxType;
  /** answers whose first tokens are those of the model it was made from; of fp32 alone: others are rounded */
  readonly sameAnswers?: number;
  readonly perplexity?: { readonly before: number; readonly after: number };
}

/** tokens of an answer that are compared */
const answerTokens = 16;

/** Compares the files of an export with the model they were made from: distributions, first tokens, perplexity where rows are known. */
export async function checkOnnx(
  { flags, signal }: ExportJob,
  ort: OnnxRuntime,
  types: readonly OnnxType[],
  {
    reference,
    prompts,
    measured,
  }: {
    readonly reference: CausalLm;
    readonly prompts: readonly (readonly number[])[];
    readonly measured: MeasuredRows | undefined;
  },
): Promise<OnnxCheck[]> {
  const before = measured && (await perplexityOver(measured, (row) => rowLikelihood(reference, row), signal));
  const { maxPositions } = reference.config;
  const { out, threads } = flags;
  // only errors are said: its warnings are about how it optimises
  const session = { executionProviders: ["cpu"], logSeverityLevel: 3, ...(threads && { intraOpNumThreads: threads }) };
  const checks: OnnxCheck[] = [];
  for (const type of types) {
    signal.throwIfAborted();
    await using decoder = await openOnnx(join(out, "onnx", onnxFile(type)), ort, { maxPositions, session });
    const kl = await logitKl(reference, decoder, prompts, { signal });
    const sameAnswers = type === "fp32" ? await countSame(reference, decoder, prompts) : undefined;
    const after = measured && (await perplexityOver(measured, (row) => targetLikelihood(decoder, row), signal));
    checks.push({
      ...{ type, ...kl },
      ...(sameAnswers !== undefined && { sameAnswers }),
      ...(before !== undefined && after !== undefined && { perplexity: { before, after } }),
    });
  }
  return checks;
}

/** "q4: KL 2.2e-1 (largest …), …; perplexity 12.310 before, 12.520 after (+1.71 %)". */
export function describeOnnx(check: OnnxCheck, prompts: number): string {
  const { type, sameAnswers, perplexity } = check;
  return [
    `${type}: ${describeKl(check)}`,
    ...(sameAnswers === undefined
      ? []
      : [`the first ${answerTokens} tokens of the answer the same for ${sameAnswers} of ${prompts} prompts`]),
    ...(perplexity ? [describePerplexity(perplexity.before, perplexity.after)] : []),
  ].join("; ");
}

async function countSame(
  reference: CausalLm,
  decoder: OnnxDecoder,
  prompts: readonly (readonly number[])[],
): Promise<number> {
  let same = 0;
  for (const prompt of prompts) {
    const maxNewTokens = Math.min(answerTokens, reference.config.maxPositions - prompt.length);
    const [theirs] = await decoder.greedy([prompt], { maxNewTokens });
    const ours: number[] = [];
    for await (const id of generate(reference, prompt, { maxNewTokens, stopIds: [] })) ours.push(id);
    if (ours.join() === theirs?.join()) same++;
  }
  return same;
}
