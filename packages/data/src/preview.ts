import { type Example, ignoredTarget } from "./encode/example.ts";
import type { Tokenizer } from "./tokenizer/tokenizer.ts";

/** A stretch of an example's text that is learnt, or is not. */
export interface PreviewSpan {
  readonly text: string;
  readonly trained: boolean;
}

/**
 * What a model sees of an example and what it learns from it. The spans joined are the decoded text, special tokens
 * included. A character whose bytes lie on both sides of a border goes to the earlier span.
 */
export function previewExample(tokenizer: Tokenizer, example: Pick<Example, "tokens" | "targets">): PreviewSpan[] {
  const { tokens, targets } = example;
  const whole = tokenizer.decode(tokens);
  const learnt = (i: number): boolean => i > 0 && targets[i - 1] !== ignoredTarget;
  const spans: PreviewSpan[] = [];
  let done = 0;
  for (let from = 0, to = 1; from < tokens.length; from = to, to++) {
    while (to < tokens.length && learnt(to) === learnt(from)) to++;
    // Half a character decodes to something the whole text does not have there.
    while (to < tokens.length && !whole.startsWith(tokenizer.decode(tokens.subarray(0, to)))) to++;
    const end = to >= tokens.length ? whole.length : tokenizer.decode(tokens.subarray(0, to)).length;
    const last = spans.at(-1);
    const text = whole.slice(done, end);
    if (last?.trained === learnt(from)) spans[spans.length - 1] = { text: last.text + text, trained: last.trained };
    else spans.push({ text, trained: learnt(from) });
    done = end;
  }
  return spans;
}
