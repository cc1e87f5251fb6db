import { freemem } from "node:os";
import { chatTemplateOf, type Message, renderPrompt, type Tokenizer } from "@ft/data";
import { type ExportSource, type LogitKl, logitKl } from "@ft/export";
import { loadAdapter } from "@ft/lora";
import { type CausalLm, loadModel } from "@ft/models";
import { type Backend, FtError, sizeOf } from "@ft/tensor";
import { storedFormat } from "../run/stored-format.ts";
import { formatOf, type Opened } from "./opened.ts";

/** What an export was asked, and how its answers compare. */
export interface CheckResult extends LogitKl {
  readonly prompts: number;
}

const questions: readonly string[] = [
  "What is the capital of France?",
  "Write one sentence about the sea.",
  "Translate to German: The house is small.\n\n1) 3 + 4 = ?\t2) list: a, b, c",
  "用一句话介绍长城。",
];

/** Token ids of the check's prompts, which both tokenizers and templates must agree on. Code "format" where they do not. */
export function checkPrompts(own: Tokenizer, exported: Tokenizer, limit: number): number[][] {
  return questions.map((content) => {
    const messages: Message[] = [{ role: "user", content }];
    const ids = renderPrompt(own, chatTemplateOf(own), messages).ids;
    const theirs = renderPrompt(exported, chatTemplateOf(exported), messages).ids;
    if (ids.length !== theirs.length || ids.some((id, i) => id !== theirs[i]))
      throw new FtError(
        "format",
        `the export's tokenizer or template gives other tokens for ${JSON.stringify(content)}`,
        "do not use it, and report this: the model would see other text than it was trained on",
      );
    return ids.slice(0, limit);
  });
}

/** The model as it answers before the export: the base as it was trained over, with its adapter. The caller disposes it. */
export async function referenceModel(
  { model, adapter, trainedOver }: Opened,
  backend: Backend,
  anyBase = false,
): Promise<CausalLm> {
  const format = (await storedFormat(model)) ?? (trainedOver && formatOf(trainedOver));
  const reference = await loadModel(model, { backend, ...(format && { format }) });
  try {
    if (adapter !== undefined) await loadAdapter(reference, adapter, { anyBase });
    return reference;
  } catch (error) {
    reference.dispose();
    throw error;
  }
}

/** Compares the next-token distributions of two models over the prompts. Disposes `other`. */
export async function compare(
  reference: CausalLm,
  other: CausalLm,
  prompts: number[][],
  signal: AbortSignal,
): Promise<CheckResult> {
  try {
    return { ...(await logitKl(reference, other, prompts, { signal })), prompts: prompts.length };
  } finally {
    other.dispose();
  }
}

/** Bytes that a check's two models need, if that is more than there is; undefined where they fit. */
export function tooLargeToCheck(source: ExportSource): number | undefined {
  const numbers = [...source.tensors.values()].reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const bytes = 2 * 4 * numbers;
  return bytes > 0.8 * freemem() ? bytes : undefined;
}

/** "KL 1.2e-9 (largest 3.4e-8), the likeliest token the same at 100.0 % of 61 places". */
export function describeKl({ meanKl, maxKl, sameTop1, tokens }: LogitKl): string {
  const number = (value: number): string => (value === 0 ? "0" : value.toExponential(1));
  const same = (100 * sameTop1).toFixed(1);
  return `KL ${number(meanKl)} (largest ${number(maxKl)}), the likeliest token the same at ${same} % of ${tokens} places`;
}
