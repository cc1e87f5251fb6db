import { type Batch, type CausalLm, type HostBatch, uploadBatch } from "@ft/models";
import { FtError, type Tensor, type WideDType } from "@ft/tensor";

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

/** Bytes of one model's logits that may exist at a time. */
const logitsBytes = 32 * 2 ** 20;

/**
 * KL(reference ‖ other) = Σ p·(log p − log q) of the next token at every position of the prompts, in f64 over the logits of both.
 * The models may live on different backends; logits exist for some positions at a time only. Errors: "input" (no prompts, another
 * vocabulary, a prompt that is empty or longer than a context), "data" (unknown ids), "numeric" (logits that are not finite).
 */
export async function logitKl(
  reference: CausalLm,
  other: CausalLm,
  prompts: readonly (readonly number[])[],
): Promise<LogitKl> {
  const { vocabSize } = reference.config;
  check(reference, other, prompts);
  let [sum, maxKl, same, tokens] = [0, 0, 0, 0];
  for (const prompt of prompts)
    for await (const [p, q] of pairs(reference, other, prompt))
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
  return { meanKl: sum / tokens, maxKl, sameTop1: same / tokens, tokens };
}

type Wide = Float32Array | Float64Array;

/** The logits of a prompt in both models on the host, [rows, vocab] at a time. */
async function* pairs(reference: CausalLm, other: CausalLm, prompt: readonly number[]): AsyncGenerator<[Wide, Wide]> {
  const rows = Math.max(1, Math.floor(logitsBytes / (4 * reference.config.vocabSize)));
  const [ours, theirs] = [upload(reference, prompt), upload(other, prompt)];
  const right = other.logitPieces(theirs, rows);
  try {
    for (const p of reference.logitPieces(ours, rows)) {
      const q = right.next();
      if (q.done) p.dispose();
      else yield [await taken(p), await taken(q.value)];
    }
  } finally {
    right.return(undefined);
    for (const batch of [ours, theirs]) for (const held of Object.values(batch)) held.dispose();
  }
}

function upload(model: CausalLm, prompt: readonly number[]): Batch {
  const seq = prompt.length;
  const host: HostBatch = {
    ...{ batch: 1, seq, tokens: Int32Array.from(prompt), targets: new Int32Array(seq).fill(-1) },
    positions: Int32Array.from(prompt, (_, i) => i),
    segments: new Int32Array(seq).fill(1),
  };
  return uploadBatch(model.backend, host, model.config.vocabSize);
}

/** The values of a tensor, which is disposed. */
async function taken(x: Tensor<WideDType>): Promise<Wide> {
  try {
    return await x.read();
  } finally {
    x.dispose();
  }
}

/** One position's divergence, and whether the first of its largest logits is the same. */
export function rowKl(p: Wide, q: Wide): { kl: number; same: boolean } {
  const [topP, topQ] = [top(p), top(q)];
  const logP = logSum(p, p[topP]!);
  const shift = logP - logSum(q, q[topQ]!);
  let kl = 0;
  for (let i = 0; i < p.length; i++) kl += Math.exp(p[i]! - logP) * (p[i]! - q[i]! - shift);
  // what rounding leaves of two equal distributions may lie below zero, a divergence does not
  return { kl: Math.max(0, kl), same: topP === topQ };
}

function top(x: Wide): number {
  let at = 0;
  for (let i = 1; i < x.length; i++) if (x[i]! > x[at]!) at = i;
  return at;
}

/** log Σ exp(x), by its largest value so that nothing overflows. */
function logSum(x: Wide, most: number): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += Math.exp(x[i]! - most);
  return most + Math.log(sum);
}

function check(reference: CausalLm, other: CausalLm, prompts: readonly (readonly number[])[]): void {
  const [ours, theirs] = [reference.config, other.config];
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
