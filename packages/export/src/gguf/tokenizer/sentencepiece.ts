import { FtError } from "@ft/tensor";
import type { GgufValue } from "@ft/weights";
import { type TokenList, tokenTypes } from "./token-list.ts";
import { isObject, type JsonObject, type TokenizerFiles } from "./tokenizer-files.ts";

const space = "\u2581";

/**
 * BPE in SentencePiece's form (Llama 2) as `tokenizer.ggml.model` "llama": merges become scores of their results. Errors: "unsupported"
 * (merges that no scores express, a normaliser that changes more than spaces).
 */
export function sentencePieceMetadata(files: TokenizerFiles, { tokens, types }: TokenList): [string, GgufValue][] {
  const { unk_token: unknown } = files.model;
  for (const [id, token] of tokens.entries()) {
    if (types[id] !== tokenTypes.normal && types[id] !== tokenTypes.control) continue;
    if (token === unknown) types[id] = tokenTypes.unknown;
    else if (/^<0x[0-9A-F]{2}>$/.test(token)) types[id] = tokenTypes.byte;
  }
  const prefix = spacePrefix(files.json);
  return [
    ["tokenizer.ggml.model", ["string", "llama"]],
    ["tokenizer.ggml.pre", ["string", "default"]],
    ["tokenizer.ggml.tokens", ["string[]", tokens]],
    ["tokenizer.ggml.scores", ["f32[]", scoresOf(files, { tokens, types })]],
    ["tokenizer.ggml.token_type", ["i32[]", types]],
    ["tokenizer.ggml.add_space_prefix", ["bool", prefix]],
  ];
}

/**
 * Scores that make llama.cpp merge in the order of the rules, as SentencePiece numbers its pieces: minus a token's place in the order in
 * which rules make it; tokens that no rule makes follow. Rules of pieces with one score stand together, ordered by the lengths of their
 * parts, so tokens whose rules mix in that way share a score again.
 */
function scoresOf({ merges }: TokenizerFiles, { tokens, types }: TokenList): Float32Array {
  const last = new Map(merges.map(([left, right], rule) => [left + right, rule]));
  const places = new Map<string, number>();
  let place = -1;
  let end = -1; // the last rule of the tokens that share this place
  let alone = "";
  for (const [rule, [left, right]] of merges.entries()) {
    const made = left + right;
    if (rule > end) {
      place++;
      alone = made;
    } else if (made !== alone && !byLength(merges[rule - 1]!, [left, right])) throw unordered(made);
    if (!places.has(made)) places.set(made, place);
    end = Math.max(end, last.get(made)!);
  }
  const scores = new Float32Array(tokens.length);
  for (const [id, token] of tokens.entries())
    if (types[id] === tokenTypes.normal) scores[id] = 0 - (places.get(token) ?? ++place);
  return scores;
}

/** Whether a rule may follow another among those of equal scores. */
function byLength([left, right]: readonly [string, string], [nextLeft, nextRight]: readonly [string, string]): boolean {
  return left.length < nextLeft.length || (left.length === nextLeft.length && right.length <= nextRight.length);
}

function unordered(made: string): FtError {
  return new FtError(
    "unsupported",
    `[exportGguf] merge rules that make ${JSON.stringify(made)} stand apart, with rules for other tokens between them`,
    "llama.cpp orders merges by one score for each token: such a tokenizer cannot be expressed",
  );
}

/** Whether a space is put in front of a text; refuses what else a normaliser may do. */
function spacePrefix({ normalizer, pre_tokenizer: preTokenizer }: JsonObject): boolean {
  const steps = isObject(normalizer) && normalizer.type === "Sequence" ? normalizer.normalizers : normalizer;
  let prefix = false;
  for (const step of [steps ?? []].flat()) {
    if (isObject(step) && step.type === "Prepend" && step.prepend === space) prefix = true;
    else if (!isObject(step) || step.type !== "Replace" || step.content !== space)
      throw unsupported("normalizer", step);
  }
  if (preTokenizer === null || preTokenizer === undefined) return prefix;
  if (!isObject(preTokenizer) || preTokenizer.type !== "Metaspace" || preTokenizer.split === true)
    throw unsupported("pre_tokenizer", preTokenizer);
  const scheme = preTokenizer.prepend_scheme ?? (preTokenizer.add_prefix_space === false ? "never" : "always");
  return prefix || scheme !== "never";
}

function unsupported(part: string, value: unknown): FtError {
  return new FtError(
    "unsupported",
    `[exportGguf] tokenizer.json: the ${part} ${JSON.stringify(value)?.slice(0, 200)} has no counterpart in llama.cpp`,
    "only spaces that become U+2581 have one",
  );
}
