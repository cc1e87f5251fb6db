import { compare, resampling } from "./compare.ts";
import type { Evaluation, Fingerprint } from "./evaluation.ts";
import { checkFingerprint, fileDigest } from "./fingerprint.ts";
import type { ChosenMetrics } from "./metrics.ts";
import { subjectNames } from "./subject-name.ts";
import { readParallel } from "./text-files.ts";
import { writeEvaluation } from "./write-evaluation.ts";

/** Scores files of predictions, one a line, against files of references; the first file is what the others are compared with. */
export async function evaluateText(
  predictions: readonly string[],
  references: readonly string[],
  metrics: ChosenMetrics,
  out: string | undefined,
): Promise<Evaluation> {
  const lines = await readParallel([...predictions, ...references]);
  const answers = lines.slice(0, predictions.length);
  const truths = lines.slice(predictions.length);
  const rows = (answers[0] ?? []).map((_, i) => ({ row: i + 1, references: truths.map((file) => file[i] ?? "") }));
  const names = subjectNames(predictions);
  const { rowScores: _, ...compared } = compare(
    metrics,
    rows,
    names.map((name, i) => ({ name, predictions: answers[i] ?? [] })),
  );
  const digest = async (file: string): Promise<[string, string]> => [file, await fileDigest(file)];
  const fingerprint: Fingerprint = Object.fromEntries(await Promise.all([...predictions, ...references].map(digest)));
  const evaluation: Evaluation = {
    version: 1,
    created: new Date().toISOString(),
    finished: true,
    fingerprint,
    subjects: names.map((name, i) => ({ name, path: predictions[i] ?? "" })),
    rows: rows.length,
    leftOut: 0,
    resampling,
    ...compared,
  };
  if (out !== undefined) {
    await checkFingerprint(out, fingerprint);
    await writeEvaluation(out, evaluation);
  }
  return evaluation;
}
