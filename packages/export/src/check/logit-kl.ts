import type { CausalLm } from "@ft/models";
import { FtError } from "@ft/tensor";
import { type LogitSource, type Logits, logitSource, rowsAtATime } from "./logit-source.ts";

/** How far one model's next-token distributions are from another's. */
export interface LogitKl {
  /** mean over all positions of KL(reference ‖ other), in nats per token */
  readonly meanKl: number;
  /** the largest of one position, in nats */
  readonly maxKl: number;
  /** share of positions, 0 to 1, at which both find the same token likeliest */
  readonly sameTop1: number;
  /** positions compared: every token of every prompt */
  readonly tokens: number;
}

/**
 * KL(reference ‖ other) = Σ p·(log p − log q) of the next token at every position of the prompts, in f64 over the logits of both.
 * The models may live on different backends, or in another program (openOnnx); logits exist for some positions at a time only.
 * Errors: "input" (no prompts, another vocabulary, a prompt that is empty or longer than a context), "data" (unknown ids),
 * "numeric" (logits that are not finite).
 */
export async function logitKl(
  reference: CausalLm | LogitSource,
  other: CausalLm | LogitSource,
  prompts: readonly (readonly number[])[],
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<LogitKl> {
  const [ours, theirs] = [logitSource(reference), logitSource(other)];
  const { vocabSize } = ours;
  check(ours, theirs, prompts);
  let [sum, maxKl, same, tokens] = [0, 0, 0, 0];
  for (const prompt of prompts)
    for await (const [p, q] of pairs(ours, theirs, prompt)) {
      // a turn of the event loop, so that a signal can arrive while a backend keeps this thread busy
      await new Promise((resolve) => setImmediate(resolve));
      signal?.throwIfAborted();
      for (let at = 0; at < p.length; at += vocabSize) {
        const one = rowKl(p.subarray(at, at + vocabSize), q.subarray(at, at + vocabSize));
        if (!Number.isFinite(one.kl))
          throw new FtError(
            "numeric",
            `[logitKl] position ${tokens} of the prompts has logits that are not finite`,
            "check the weights of both models",
          );
        sum += one.kl;
        maxKl = Math.max(maxKl, one.kl);
        if (one.same) same++;
        tokens++;
      }
    }
  return { meanKl: sum / tokens, maxKl, sameTop1: same / tokens, tokens };
}

/** The logits of a prompt in both models on the host, [rows, vocab] at a time. */
async function* pairs(ours: LogitSource, theirs: LogitSource, prompt: readonly number[]) {
  const rows = rowsAtATime(ours.vocabSize);
  const right = theirs.logitRows(prompt, rows)[Symbol.asyncIterator]();
  try {
    for await (const p of ours.logitRows(prompt, rows)) {
      const q = await right.next();
      if (q.done || q.value.length !== p.length)
        throw new FtError("shape", "[logitKl] the models give logits of different lengths", "report this");
      yield [p, q.value] as const;
    }
  } finally {
    await right.return?.();
  }
}

/** One position's divergence, and whether the first of its largest logits is the same. */
export function rowKl(p: Logits, q: Logits): { kl: number; same: boolean } {
  const [topP, topQ] = [top(p), top(q)];
  const logP = logSum(p, p[topP]!);
  const shift = logP - logSum(q, q[topQ]!);
  let kl = 0;
  for (let i = 0; i < p.length; i++) kl += Math.exp(p[i]! - logP) * (p[i]! - q[i]! - shift);
  // what rounding leaves of two equal distributions may lie below zero, a divergence does not
  return { kl: Math.max(0, kl), same: topP === topQ };
}

/** −log p of a token at one position, in nats. */
export function rowNll(logits: Logits, token: number): number {
  return logSum(logits, logits[top(logits)]!) - logits[token]!;
}

function top(x: Logits): number {
  let at = 0;
  for (let i = 1; i < x.length; i++) if (x[i]! > x[at]!) at = i;
  return at;
}

/** log Σ exp(x), by its largest value so that nothing overflows. */
function logSum(x: Logits, most: number): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += Math.exp(x[i]! - most);
  return most + Math.log(sum);
}

function check(ours: LogitSource, theirs: LogitSource, prompts: readonly (readonly number[])[]): void {
  if (ours.vocabSize !== theirs.vocabSize)
    throw new FtError(
      "input",
      `[logitKl] vocabularies of ${ours.vocabSize} and ${theirs.vocabSize} tokens`,
      "compare models that share a tokenizer",
    );
  if (prompts.length === 0) throw new FtError("input", "[logitKl] there are no prompts", "pass at least one");
  const context = Math.min(ours.maxPositions, theirs.maxPositions);
  for (const [i, { length }] of prompts.entries())
    if (length === 0 || length > context)
      throw new FtError(
        "input",
        `[logitKl] prompt ${i} has ${length} tokens`,
        `use between 1 and ${context}, the model's context`,
      );
}
