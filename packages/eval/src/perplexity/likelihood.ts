/** How likely a model finds some tokens; sums, so that those of several texts add up. */
export interface Likelihood {
  /** sum of −ln p over the predicted tokens, in nats */
  readonly nll: number;
  /** tokens that were predicted, each once */
  readonly tokens: number;
}

/** The sums of both. */
export function addLikelihoods(a: Likelihood, b: Likelihood): Likelihood {
  return { nll: a.nll + b.nll, tokens: a.tokens + b.tokens };
}

/** Mean loss in nats a token; its exponential is the perplexity. */
export function meanNll({ nll, tokens }: Likelihood): number {
  return nll / tokens;
}

/** exp(nll / tokens): the number of equally likely tokens that would surprise as much. */
export function perplexityOf(likelihood: Likelihood): number {
  return Math.exp(meanNll(likelihood));
}

/** nll / (bytes · ln 2): what a byte of the text costs, whatever the tokenizer. */
export function bitsPerByte({ nll }: Likelihood, bytes: number): number {
  return nll / (bytes * Math.LN2);
}

/** exp(nll / bytes): perplexity of a byte, comparable between tokenizers. */
export function bytePerplexity({ nll }: Likelihood, bytes: number): number {
  return Math.exp(nll / bytes);
}
