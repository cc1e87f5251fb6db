import { FtError } from "@ft/tensor";
import type { GgufValue } from "@ft/weights";
import { type TokenList, tokenTypes } from "./token-list.ts";
import { isObject, type JsonObject, noCounterpart, normalizerSteps, type TokenizerFiles } from "./tokenizer-files.ts";

const space = "\u2581";

/**
 * BPE in SentencePiece's form (Llama 2) as `tokenizer.ggml.model` "llama": merges become scores of their results. Errors: "unsupported"
 * (merges that no scores express, pairs of tokens that make a third without a rule, a normalizer that changes more than spaces).
 */
export function sentencePieceMetadata(files: TokenizerFiles, { tokens, types }: TokenList): [string, GgufValue][] {
  const { unk_token: unknown } = files.model;
  for (const [id, token] of tokens.entries()) {
    if (types[id] !== tokenTypes.normal && types[id] !== tokenTypes.control) continue;
    if (token === unknown) types[id] = tokenTypes.unknown;
    else if (/^<0x[0-9A-F]{2}>$/.test(token)) types[id] = tokenTypes.byte;
  }
  const prefix = spacePrefix(files.json);
  if (files.model.ignore_merges === true)
    throw noCounterpart("ignore_merges", true, "it joins tokens of this kind by their scores only");
  checkComplete(files, { tokens, types });
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
 * llama.cpp joins any two neighbours whose texts make a token together, tokens or single characters; tokenizer.json joins those that have
 * a rule. SentencePiece's own vocabularies, converted, have all of these rules; a BPE that was trained with rules has one for each token.
 */
function checkComplete({ merges }: TokenizerFiles, { tokens, types }: TokenList): void {
  const ruled = new Map<string, Set<number>>();
  for (const [left, right] of merges) {
    const cuts = ruled.get(left + right);
    if (cuts) cuts.add(left.length);
    else ruled.set(left + right, new Set([left.length]));
  }
  const typed = new Map(tokens.map((token, id) => [token, types[id]]));
  // texts are cut at control and user-defined tokens first, so that those have no neighbours
  const joined = (part: string): boolean =>
    (typed.get(part) ?? (part.length === after(part, 0) ? tokenTypes.normal : undefined)) === tokenTypes.normal;
  for (const [id, token] of tokens.entries()) {
    if (types[id] !== tokenTypes.normal) continue;
    for (let cut = after(token, 0); cut < token.length; cut = after(token, cut)) {
      if (ruled.get(token)?.has(cut) || !joined(token.slice(0, cut)) || !joined(token.slice(cut))) continue;
      const [left, right, made] = [token.slice(0, cut), token.slice(cut), token].map((text) => JSON.stringify(text));
      throw new FtError(
        "unsupported",
        `[exportGguf] tokenizer.json has no merge rule for ${left} and ${right}, and llama.cpp would join them to ${made}`,
        "a byte_fallback BPE with one rule for each token cannot be expressed: write the file without a tokenizer",
      );
    }
  }
}

/** The place after the character at `at`: cuts fall between code points, half a surrogate pair is no character. */
function after(text: string, at: number): number {
  return at + (text.codePointAt(at)! > 0xffff ? 2 : 1);
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

const known = `only spaces that become ${space}, and one in front of a text, have one`;

/**
 * Whether a space is put in front of a text; refuses what else may be done to it. As everywhere with such files, llama.cpp puts it in
 * front of text after a special token, too, and of text that begins with a space.
 */
function spacePrefix(json: JsonObject): boolean {
  const { pre_tokenizer: preTokenizer } = json;
  let prefix = false;
  let replaced = false;
  for (const step of normalizerSteps(json)) {
    if (!isObject(step)) throw noCounterpart("normalizer", step, known);
    const { type, pattern } = step;
    if (type === "Prepend" && step.prepend === space) prefix = true;
    else if (type === "Replace" && step.content === space && isObject(pattern) && pattern.String === " ")
      replaced = true;
    else throw noCounterpart("normalizer", step, known);
  }
  if (preTokenizer !== null && preTokenizer !== undefined) {
    // an absent `split` is true for Hugging Face: text is cut before every space, and no token crosses one
    if (!isObject(preTokenizer) || preTokenizer.type !== "Metaspace" || preTokenizer.split !== false)
      throw noCounterpart("pre_tokenizer", preTokenizer, `${known}, and words must not be split ("split": false)`);
    const { replacement = space } = preTokenizer;
    if (replacement !== space) throw noCounterpart("pre_tokenizer", preTokenizer, known);
    const scheme = preTokenizer.prepend_scheme ?? (preTokenizer.add_prefix_space === false ? "never" : "always");
    prefix ||= scheme !== "never";
    replaced = true;
  }
  if (!replaced) throw noCounterpart("normalizer", json.normalizer, `it always makes ${space} of spaces`);
  return prefix;
}
