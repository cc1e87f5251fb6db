import type { EvaluatedRow, Evaluation, Measure, Score } from "../eval/evaluation.ts";
import { intervals } from "./bars.ts";
import { difference } from "./difference.ts";
import { type Fragment, type Html, html } from "./html.ts";
import { figure, moment, percent, several } from "./numbers.ts";
import { listOf, type Section, tableOf } from "./section.ts";

/** Metrics of every subject with their intervals, and what was forgotten. */
export function measuresSection(evaluation: Evaluation | undefined): Section {
  const title = "Before and after";
  if (evaluation === undefined)
    return {
      id: "metrics",
      title,
      content: html`<p class="empty">Not evaluated yet. <code>ft eval</code> compares the result with its base, <code>ft report</code> then shows it here.</p>`,
    };
  const { subjects, measures, rows, leftOut, finished, resampling, general, created } = evaluation;
  const signatures = measures.flatMap(({ name, signature }) =>
    signature === undefined ? [] : [[name, signature] as const],
  );
  const content = html`${!finished && html`<ul class="remarks"><li>The evaluation is not finished: these are the rows so far.</li></ul>`}
${
  measures.length > 0 &&
  tableOf(
    `Metrics over ${several(rows, "row")}`,
    [
      "Metric",
      ...subjects.map(({ name }, i) => subjectHtml(name, i)),
      percent(resampling.confidence).replace(".0 ", " ").concat(" interval"),
    ],
    measures.map((measure) => [
      html`${measure.name}&nbsp;<span class="better" title="${measure.better} is better">${measure.better === "higher" ? "↑" : "↓"}<span class="hidden"> ${measure.better} is better</span></span>`,
      ...subjects.map(({ name }) =>
        scoreHtml(
          measure,
          measure.scores.find(({ subject }) => subject === name),
        ),
      ),
      intervals(subjects.map(({ name }) => measure.scores.find(({ subject }) => subject === name) ?? nothing)),
    ]),
  )
}
<p class="note">In brackets: the ${percent(resampling.confidence).replace(".0 ", " ")} interval of ${several(resampling.samples, "bootstrap sample")} (seed ${resampling.seed}). p is two-sided, of paired bootstrap resampling against ${subjects[0]?.name ?? "the first"}. Arrows say whether higher or lower is better.${leftOut > 0 && ` ${several(leftOut, "row")} were left out: too long.`} Evaluated <span class="when">${moment(created)}</span>.</p>
${general && generalHtml(general)}
${signatures.length > 0 && html`<details><summary>Signatures</summary>${listOf(signatures.map(([name, signature]) => [name, html`<code>${signature}</code>`]))}</details>`}`;
  return { id: "metrics", title, content };
}

const nothing: Pick<Score, "value" | "low" | "high"> = { value: Number.NaN, low: Number.NaN, high: Number.NaN };

function subjectHtml(name: string, i: number): Html {
  return html`<span class="subject subject-${i % 6}"><i></i>${name}</span>`;
}

function scoreHtml({ better, digits }: Measure, score: Score | undefined): Fragment {
  if (score === undefined) return "—";
  const fixed = (value: number | undefined): string =>
    Number.isFinite(value) ? Number(value).toFixed(digits) : "not finite";
  const { value, low, high, against } = score;
  const change =
    against &&
    html`<small class="${verdict(against.difference, against.p, better)}">${against.difference < 0 ? "−" : "+"}${fixed(Math.abs(against.difference))}, p ${against.p < 0.001 ? "< 0.001" : `= ${figure(against.p)}`}</small>`;
  return html`<b>${fixed(value)}</b> <small>[${fixed(low)}, ${fixed(high)}]</small>${change}`;
}

/** Whether a difference is one that chance does not explain, and to which side. */
function verdict(difference: number, p: number, better: Measure["better"]): string {
  if (!(p < 0.05) || difference === 0) return "even";
  return difference > 0 === (better === "higher") ? "gain" : "loss";
}

function generalHtml({ file, documents, scores }: NonNullable<Evaluation["general"]>): Html {
  const bits = scores.some(({ bitsPerByte }) => bitsPerByte !== undefined);
  const rows = scores.map(({ subject, loss, perplexity, bitsPerByte, forgetting }, i) => [
    subjectHtml(subject, i),
    figure(loss),
    figure(perplexity),
    ...(bits ? [bitsPerByte === undefined ? "—" : figure(bitsPerByte)] : []),
    forgetting === undefined ? "—" : `${forgetting < 0 ? "−" : "+"}${figure(Math.abs(forgetting))}`,
  ]);
  const name = file.split(/[/\\]/).at(-1) ?? file;
  return html`<h3>General ability</h3>
${tableOf(`Loss on ${name}, ${several(documents, "document")}`, ["", "Loss", "Perplexity", ...(bits ? ["Bits a byte"] : []), "Change of the loss"], rows)}
<p class="note">Text that the fine-tuning was not about: where its loss rises, something was forgotten.</p>`;
}

/** Room for texts on the page, in characters. */
const room = 120_000;
const longest = 4000;

/** Answers side by side with the reference. */
export function samplesSection(evaluation: Evaluation | undefined): Section | undefined {
  if (evaluation === undefined) return undefined;
  const { samples, worst, subjects } = evaluation;
  const answered = (rows: readonly EvaluatedRow[]): readonly EvaluatedRow[] =>
    rows.filter(({ answers }) => answers.some(({ prediction }) => prediction !== undefined));
  const names = subjects.map(({ name }) => name);
  const first = within(answered(samples), (2 * room) / 3);
  const low = within(answered(worst.rows), room / 3);
  if (first.shown.length + low.shown.length === 0) return undefined;
  const list = ({ shown, left }: ReturnType<typeof within>): Fragment => [
    ...shown.map((row) => rowHtml(row, names)),
    left > 0 &&
      html`<p class="note">${several(left, "more row")} would make this page too large; they are in eval.json.</p>`,
  ];
  return {
    id: "samples",
    title: "Answers",
    content: html`<p class="controls"><label><input id="differences" type="checkbox" checked> Mark words that the reference does not have</label></p>
${list(first)}
${low.shown.length > 0 && html`<details><summary>${several(low.shown.length, "row")} where ${names.at(-1)} did worst by ${worst.by}</summary>${list(low)}</details>`}`,
  };
}

/** The rows that fit. */
function within(rows: readonly EvaluatedRow[], characters: number): { shown: readonly EvaluatedRow[]; left: number } {
  let used = 0;
  const shown = rows.filter(({ prompt = [], references, answers }) => {
    const texts = [
      ...prompt.map(({ content }) => content),
      ...references,
      ...answers.map(({ prediction = "" }) => prediction),
    ];
    used += texts.reduce((sum, text) => sum + Math.min(longest, text.length) + 100, 0);
    return used <= characters;
  });
  return { shown, left: rows.length - shown.length };
}

function rowHtml({ row, prompt = [], references, answers }: EvaluatedRow, names: readonly string[]): Html {
  const [reference = ""] = references;
  return html`<article class="sample"><h3>Row ${row}</h3>
${prompt.length > 0 && html`<div class="prompt">${prompt.map(({ role, content }) => html`<p class="role">${role}</p>${textHtml(clipped(content))}`)}</div>`}
<div class="answers">
<div><h4>reference</h4>${references.map((text) => textHtml(clipped(text)))}</div>
${answers.map(({ subject, prediction, scores }) => {
  const i = Math.max(0, names.indexOf(subject));
  const found = Object.entries(scores).map(([name, value]) => `${name} ${figure(value)}`);
  return html`<div class="subject-${i % 6}"><h4>${subjectHtml(subject, i)}</h4>${prediction === undefined ? html`<p class="empty">no answer</p>` : answerHtml(prediction, reference)}${found.length > 0 && html`<p class="scores">${found.join(" · ")}</p>`}</div>
`;
})}</div></article>
`;
}

function answerHtml(prediction: string, reference: string): Html {
  if (prediction === "") return html`<p class="empty">an empty answer</p>`;
  if (prediction === reference)
    return html`${textHtml(clipped(prediction))}<p class="exact">the same as the reference</p>`;
  return textHtml(
    difference(clipped(prediction), clipped(reference)).map(({ text, same }) =>
      same ? text : html`<mark>${text}</mark>`,
    ),
  );
}

function textHtml(text: Fragment): Html {
  return html`<div class="text" dir="auto">${text}</div>`;
}

function clipped(text: string): string {
  return text.length <= longest
    ? text
    : `${text.slice(0, longest)}… (${several(text.length - longest, "more character")})`;
}
