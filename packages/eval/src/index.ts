export { type AccuracyOptions, accuracy } from "./accuracy/accuracy.ts";
export { type AnswerAllOptions, type Answered, answerAll } from "./answers/answer-all.ts";
export { type BleuOptions, type BleuResult, bleu, sentenceBleu } from "./bleu/bleu.ts";
export { type EvaluateBleuOptions, type EvaluateBleuResult, evaluateBleu } from "./bleu/evaluate-bleu.ts";
export type { BleuCounts, BleuScore, BleuSmoothing } from "./bleu/score.ts";
export { type ChrfOptions, type ChrfResult, chrf } from "./chrf/chrf.ts";
export { corpusScore, corpusStatistics } from "./corpus.ts";
export { type ExactMatchOptions, exactMatch } from "./exact-match/exact-match.ts";
export { type Accumulator, accumulate, customMetric, type Metric, type MetricState, type Scoring } from "./metric.ts";
export {
  addLikelihoods,
  bitsPerByte,
  bytePerplexity,
  type Likelihood,
  meanNll,
  perplexityOf,
} from "./perplexity/likelihood.ts";
export { perplexity } from "./perplexity/perplexity.ts";
export { rowLikelihood, type TargetRow } from "./perplexity/row-likelihood.ts";
export { type Perplexity, type StridedOptions, stridedPerplexity } from "./perplexity/strided-perplexity.ts";
export { type RougeOptions, type RougeResult, type RougeType, rouge } from "./rouge/rouge.ts";
export type { RougeScore } from "./rouge/scores.ts";
export { type RougeTokenizer, rougeCharacters, rougeStems, rougeWords } from "./rouge/tokenize.ts";
export { type ConfidenceInterval, confidenceInterval } from "./significance/interval.ts";
export { type PairedBootstrap, type PairedTest, pairedBootstrap, pairedRandomization } from "./significance/paired.ts";
export type { ResamplingOptions, StatisticRows } from "./significance/resample.ts";
export { porterStem } from "./stem/porter.ts";
export { type TokenF1Options, tokenF1 } from "./token-f1/token-f1.ts";
export { type BleuTokenizer, type Tokenizer, tokenizers } from "./tokenizers/tokenizers.ts";
