import { lcsLength, lcsPlaces } from "./lcs.ts";

/** Precision, recall and their harmonic mean, each from 0 to 1. */
export interface RougeScore {
  readonly precision: number;
  readonly recall: number;
  readonly fmeasure: number;
}

const none: RougeScore = { precision: 0, recall: 0, fmeasure: 0 };

function scoreOf(hits: number, predicted: number, wanted: number): RougeScore {
  const precision = hits / Math.max(predicted, 1);
  const recall = hits / Math.max(wanted, 1);
  const sum = precision + recall;
  return { precision, recall, fmeasure: sum > 0 ? (2 * precision * recall) / sum : 0 };
}

/** ROUGE-N: shared n-grams of two lists of token numbers. */
export function ngramScore(target: Int32Array, prediction: Int32Array, n: number): RougeScore {
  const counts = new Map<number | string, number>();
  const total = (tokens: Int32Array): number => Math.max(tokens.length - n + 1, 0);
  for (const gram of ngrams(target, n)) counts.set(gram, (counts.get(gram) ?? 0) + 1);
  let hits = 0;
  for (const gram of ngrams(prediction, n)) {
    const left = counts.get(gram);
    if (left === undefined || left === 0) continue;
    counts.set(gram, left - 1);
    hits++;
  }
  return scoreOf(hits, total(prediction), total(target));
}

function* ngrams(tokens: Int32Array, n: number): Generator<number | string> {
  for (let i = 0; i + n <= tokens.length; i++)
    if (n === 1) yield tokens[i]!;
    else if (n === 2) yield tokens[i]! * 2 ** 26 + tokens[i + 1]!;
    else yield tokens.subarray(i, i + n).join(" ");
}

/** ROUGE-L: the longest common subsequence of whole texts. */
export function lcsScore(target: Int32Array, prediction: Int32Array): RougeScore {
  if (target.length === 0 || prediction.length === 0) return none;
  return scoreOf(lcsLength(target, prediction), prediction.length, target.length);
}

/** ROUGE-Lsum: the union of longest common subsequences, sentence by sentence; no token counts twice (as ROUGE 1.5.5). */
export function summaryScore(target: readonly Int32Array[], prediction: readonly Int32Array[]): RougeScore {
  const wanted = target.reduce((sum, { length }) => sum + length, 0);
  const predicted = prediction.reduce((sum, { length }) => sum + length, 0);
  if (wanted === 0 || predicted === 0) return none;
  const left = [counted(target), counted(prediction)] as const;
  let hits = 0;
  for (const sentence of target) {
    const union = new Set<number>();
    for (const other of prediction) for (const place of lcsPlaces(sentence, other)) union.add(place);
    for (const place of [...union].sort((x, y) => x - y)) {
      const token = sentence[place]!;
      const [inTarget, inPrediction] = [left[0].get(token) ?? 0, left[1].get(token) ?? 0];
      if (inTarget === 0 || inPrediction === 0) continue;
      left[0].set(token, inTarget - 1);
      left[1].set(token, inPrediction - 1);
      hits++;
    }
  }
  return scoreOf(hits, predicted, wanted);
}

function counted(sentences: readonly Int32Array[]): Map<number, number> {
  const counts = new Map<number, number>();
  for (const sentence of sentences) for (const token of sentence) counts.set(token, (counts.get(token) ?? 0) + 1);
  return counts;
}
