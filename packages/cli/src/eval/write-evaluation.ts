import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { FtError } from "@ft/tensor";
import { writeFileAtomic } from "@ft/weights";
import type { Evaluation, Subject } from "./evaluation.ts";
import { readPrediction } from "./measure-subject.ts";
import { openRowsFile } from "./rows-file.ts";
import { evaluationMarkdown } from "./table.ts";

/** Writes eval.json, and when everything is there eval.md. */
export async function writeEvaluation(out: string, evaluation: Evaluation): Promise<void> {
  await mkdir(out, { recursive: true }).catch((cause: unknown) => {
    throw new FtError("io", `${out} cannot be created`, "choose an --out that can be written", { cause });
  });
  if (evaluation.finished) await writeFileAtomic(join(out, "eval.md"), evaluationMarkdown(evaluation));
  await writeFileAtomic(join(out, "eval.json"), `${JSON.stringify(evaluation, null, 2)}\n`);
}

/** Writes the scores of each row beside its prediction, whatever was measured when it was made. */
export async function writeScores(
  out: string,
  { predictions }: Subject,
  scores: readonly Readonly<Record<string, number>>[],
): Promise<void> {
  if (predictions === undefined) return;
  const file = join(out, predictions);
  await using held = await openRowsFile(file, readPrediction);
  const lines = held.rows.map((row) => `${JSON.stringify({ ...row, scores: scores[row.index] ?? row.scores })}\n`);
  await writeFileAtomic(file, lines.join(""));
}
