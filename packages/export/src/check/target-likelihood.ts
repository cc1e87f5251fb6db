import type { CausalLm } from "@ft/models";
import { FtError } from "@ft/tensor";
import { rowNll } from "./logit-kl.ts";
import { type LogitSource, logitSource, rowsAtATime } from "./logit-source.ts";

/**
 * How likely a model, ours or in another program, finds the targets of a row: the sum of −ln p in nats, and how many there are.
 * Errors: "input" (lengths), "data" (unknown ids), "numeric" (logits that are not finite).
 * @param row `targets[i]` is the token after `tokens[i]`, or negative where it is not to be predicted; both [sequence]
 */
export async function targetLikelihood(
  model: CausalLm | LogitSource,
  row: { readonly tokens: ArrayLike<number>; readonly targets: ArrayLike<number> },
): Promise<{ readonly nll: number; readonly tokens: number }> {
  const source = logitSource(model);
  const { vocabSize, maxPositions } = source;
  const { length } = row.tokens;
  if (length !== row.targets.length || length > maxPositions)
    throw new FtError(
      "input",
      `[targetLikelihood] ${length} tokens with ${row.targets.length} targets`,
      `give each token the one after it, or -100, and at most ${maxPositions}, the model's context`,
    );
  let [nll, tokens, at] = [0, 0, 0];
  for await (const piece of source.logitRows(Array.from(row.tokens), rowsAtATime(vocabSize)))
    for (let from = 0; from < piece.length; from += vocabSize) {
      const target = row.targets[at++] ?? -1;
      if (target < 0) continue;
      if (target >= vocabSize)
        throw new FtError(
          "data",
          `[targetLikelihood] the target ${target}, and the model knows ${vocabSize} tokens`,
          "use the tokenizer that belongs to the model",
        );
      nll += rowNll(piece.subarray(from, from + vocabSize), target);
      tokens++;
    }
  if (!Number.isFinite(nll))
    throw new FtError("numeric", "[targetLikelihood] logits are not finite", "check the weights of the model");
  return { nll, tokens };
}
