import {
  confidenceInterval,
  type Likelihood,
  pairedBootstrap,
  perplexity,
  perplexityOf,
  type Scoring,
  type StatisticRows,
} from "@ft/eval";
import type { EvaluatedRow, Evaluation, Measure, Resampling } from "./evaluation.ts";
import type { ChosenMetrics } from "./metrics.ts";

/** What was asked of every subject. */
export interface AskedRow {
  readonly row: number;
  readonly prompt?: EvaluatedRow["prompt"];
  readonly references: readonly string[];
}

/** What one subject made of the rows, in their order. */
export interface SubjectRows {
  readonly name: string;
  readonly predictions?: readonly string[];
  readonly likelihoods?: readonly Likelihood[];
}

export const resampling: Resampling = { confidence: 0.95, samples: 1000, seed: 12345 };

/** rows that eval.json shows as the worst, and as samples */
const shown = 5;

/** A measure over the rows of each subject, and of one row. */
interface Column extends Pick<Measure, "name" | "better" | "digits"> {
  readonly scoring: Scoring<number>;
  /** what the paired test compares in its place: of perplexities, whose resamples are skewed, the loss */
  readonly tested?: Scoring<number>;
  readonly signature?: string | undefined;
  /** [subject][row][statistic] */
  readonly statistics: readonly StatisticRows[];
  rowScore(subject: SubjectRows, index: number): number;
}

/** The scores of all subjects against the first, the rows that went worst, and the first rows side by side. */
export function compare(
  chosen: ChosenMetrics,
  asked: readonly AskedRow[],
  subjects: readonly SubjectRows[],
): Pick<Evaluation, "measures" | "worst" | "samples"> & { rowScores(subject: SubjectRows): readonly RowScores[] } {
  const columns = [...(chosen.perplexity ? [lossColumn(subjects)] : []), ...textColumns(chosen, asked, subjects)];
  const scores = new Map(subjects.map((subject) => [subject, rowScoresOf(columns, asked, subject)]));
  const rowScores = (subject: SubjectRows): readonly RowScores[] => scores.get(subject) ?? [];
  const evaluated = (index: number): EvaluatedRow => {
    const { row = 0, prompt, references = [] } = asked[index] ?? {};
    const answers = subjects.map((subject) => {
      const prediction = subject.predictions?.[index];
      return {
        subject: subject.name,
        ...(prediction !== undefined && { prediction }),
        scores: rowScores(subject)[index] ?? {},
      };
    });
    return { index, row, ...(prompt && { prompt }), references, answers };
  };
  const [by] = columns;
  const judged = subjects.at(-1);
  const badness = (index: number): number => {
    const score = (judged && rowScores(judged)[index]?.[by?.name ?? ""]) ?? 0;
    return by?.better === "lower" ? -score : score;
  };
  const order = asked.map((_, index) => index);
  return {
    measures: columns.map((column) => measureOf(column, subjects)),
    worst: {
      by: by?.name ?? "",
      rows: order
        .toSorted((a, b) => badness(a) - badness(b) || a - b)
        .slice(0, shown)
        .map(evaluated),
    },
    samples: order.slice(0, shown).map(evaluated),
    rowScores,
  };
}

/** By the name of the measure. */
export type RowScores = Readonly<Record<string, number>>;

function lossColumn(subjects: readonly SubjectRows[]): Column {
  return {
    name: "perplexity",
    better: "lower",
    digits: 3,
    scoring: perplexity(),
    tested: { ...perplexity(), name: "loss", score: (sums) => (sums[0] ?? Number.NaN) / (sums[1] ?? Number.NaN) },
    statistics: subjects.map(({ likelihoods = [] }) => likelihoods.map(({ nll, tokens }) => [nll, tokens])),
    rowScore: ({ likelihoods }, index) => perplexityOf(likelihoods?.[index] ?? { nll: Number.NaN, tokens: 1 }),
  };
}

function textColumns(chosen: ChosenMetrics, asked: readonly AskedRow[], subjects: readonly SubjectRows[]): Column[] {
  const references = asked.map((row) => row.references);
  return chosen.text.map((measure) => {
    const statistics = subjects.map(({ predictions = [] }) => measure.statistics(predictions, references));
    return {
      name: measure.name,
      better: "higher",
      digits: measure.digits,
      scoring: measure.scoring,
      signature: measure.signature(statistics[0] ?? []),
      statistics,
      rowScore: ({ predictions }, index) => measure.rowScore(predictions?.[index] ?? "", references[index] ?? []),
    };
  });
}

function rowScoresOf(columns: readonly Column[], asked: readonly AskedRow[], subject: SubjectRows): RowScores[] {
  return asked.map((_, index) =>
    Object.fromEntries(columns.map((column) => [column.name, column.rowScore(subject, index)])),
  );
}

function measureOf({ scoring, tested, statistics, ...column }: Column, subjects: readonly SubjectRows[]): Measure {
  const { name, better, digits, signature } = column;
  const [baseline = []] = statistics;
  const scores = subjects.map((subject, i) => {
    if (i === 0) {
      const { score, low, high } = confidenceInterval(scoring, baseline, resampling);
      return { subject: subject.name, value: score, low, high };
    }
    const test = pairedBootstrap(scoring, baseline, statistics[i] ?? [], resampling);
    const { low, high } = test.systemInterval;
    // the test counts differences that are larger than the one seen; none at all is never significant
    const { pValue } = tested ? pairedBootstrap(tested, baseline, statistics[i] ?? [], resampling) : test;
    const against = { difference: test.difference, p: test.difference === 0 ? 1 : pValue };
    return { subject: subject.name, value: test.system, low, high, against };
  });
  return { name, better, digits, ...(signature !== undefined && { signature }), scores };
}
