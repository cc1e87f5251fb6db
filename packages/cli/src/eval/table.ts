import type { EvaluatedRow, Evaluation, GeneralProbe, Measure, Score } from "./evaluation.ts";

type Cells = readonly string[];

/** The comparison as rows of cells, the first of them names. */
function comparison({ measures, subjects }: Evaluation): Cells[] {
  const others = subjects.slice(1).flatMap(({ name }) => [name, "difference", "p"]);
  return [["", subjects[0]?.name ?? "", ...others], ...measures.map(measureCells)];
}

function measureCells({ name, better, digits, scores }: Measure): Cells {
  const cell = ({ value, low, high }: Score): string =>
    `${value.toFixed(digits)} [${low.toFixed(digits)}, ${high.toFixed(digits)}]`;
  const cells = scores.flatMap((score) =>
    score.against === undefined
      ? [cell(score)]
      : [cell(score), signed(score.against.difference, digits), score.against.p.toFixed(3)],
  );
  return [`${name} ${better === "higher" ? "↑" : "↓"}`, ...cells];
}

function generalCells({ scores }: GeneralProbe): Cells[] {
  const bytes = scores.some(({ bitsPerByte }) => bitsPerByte !== undefined);
  return [
    ["", "loss", "perplexity", ...(bytes ? ["bits per byte"] : []), "forgetting"],
    ...scores.map(({ subject, loss, perplexity, bitsPerByte, forgetting }) => [
      subject,
      loss.toFixed(4),
      perplexity.toFixed(3),
      ...(bytes ? [bitsPerByte?.toFixed(4) ?? ""] : []),
      forgetting === undefined ? "" : signed(forgetting, 4),
    ]),
  ];
}

/** For a terminal. */
export function evaluationText(evaluation: Evaluation): string {
  const { general, worst } = evaluation;
  const lines = [heading(evaluation), "", ...aligned(comparison(evaluation))];
  if (general) lines.push("", generalHeading(general), "", ...aligned(generalCells(general)));
  const [row] = worst.rows;
  if (row) lines.push("", `Worst row by ${worst.by}:`, "", ...rowLines(row));
  return lines.join("\n");
}

/** Paragraphs of Markdown: the numbers, and how they were computed. */
export function evaluationNumbers(evaluation: Evaluation): string[] {
  const { general, measures } = evaluation;
  const parts = [heading(evaluation), markdownTable(comparison(evaluation))];
  const signatures = measures.flatMap(({ name, signature }) =>
    signature === undefined ? [] : [`${name}: \`${signature}\``],
  );
  if (signatures.length > 0) parts.push(`${signatures.join("; ")}.`);
  if (general) parts.push("## General ability", generalHeading(general), markdownTable(generalCells(general)));
  return parts;
}

/** eval.md. */
export function evaluationMarkdown(evaluation: Evaluation): string {
  const { worst, samples } = evaluation;
  const parts = ["# Evaluation", ...evaluationNumbers(evaluation)];
  const rows = (title: string, shown: readonly EvaluatedRow[]): void => {
    if (shown.length > 0) parts.push(`## ${title}`, ...shown.map((row) => fenced(rowLines(row).join("\n"))));
  };
  rows(`Worst rows by ${worst.by}`, worst.rows);
  rows("First rows", samples);
  return `${parts.join("\n\n")}\n`;
}

function heading({ rows, leftOut, resampling, measures, subjects }: Evaluation): string {
  const left = leftOut > 0 ? ` (${leftOut} longer ones left out)` : "";
  const { confidence, samples } = resampling;
  const interval = `${100 * confidence} % intervals of ${samples} bootstrap samples in brackets`;
  const test = subjects.length > 1 ? "; p: two-sided paired bootstrap test" : "";
  return measures.length === 0 ? `${rows} rows${left}.` : `${rows} rows${left}; ${interval}${test}.`;
}

function generalHeading({ file, documents }: GeneralProbe): string {
  return `General ability: loss in nats a token of ${documents} documents of ${file}; what it rises by was forgotten.`;
}

function rowLines({ row, prompt, references, answers }: EvaluatedRow): string[] {
  const said = prompt?.map(({ role, content }) => `${role}: ${content}`) ?? [];
  const answered = answers.map(({ subject, prediction, scores }) => {
    const numbers = Object.entries(scores).map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`);
    return `${subject} (${numbers.join(", ")})${prediction === undefined ? "" : `: ${prediction}`}`;
  });
  return [`row ${row}`, ...said, ...references.map((text) => `reference: ${text}`), ...answered];
}

function signed(value: number, digits: number): string {
  const text = Math.abs(value).toFixed(digits);
  return Number(text) === 0 ? text : `${value > 0 ? "+" : "−"}${text}`;
}

function aligned(rows: readonly Cells[]): string[] {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((cells) => cells[i]?.length ?? 0)));
  return rows.map((cells) =>
    cells
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

function markdownTable(rows: readonly Cells[]): string {
  const [head = [], ...body] = rows;
  const line = (cells: Cells): string => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...body.map(line)].join("\n");
}

/** A fence longer than any in the text. */
function fenced(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([ticks]) => ticks.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}text\n${text}\n${fence}`;
}
