import { basename } from "node:path";
import type { RowFacts } from "../train/facts.ts";
import { histogram } from "./bars.ts";
import { type Fragment, html } from "./html.ts";
import { grouped, percent, several } from "./numbers.ts";
import type { ReportedRun } from "./read-run.ts";
import { type Section, tableOf } from "./section.ts";

/** What the rows were. */
export function dataSection({ record: { data, config } }: ReportedRun): Section {
  if (data === undefined)
    return { id: "data", title: "Data", content: html`<p class="empty">Nothing about the rows is recorded.</p>` };
  const { training, heldOut } = data;
  const both: readonly (readonly [string, RowFacts])[] = [
    ["Training", training],
    ...(heldOut ? [["Validation", heldOut] as const] : []),
  ];
  const rows = (name: string, value: (facts: RowFacts) => Fragment): Fragment[] => [
    name,
    ...both.map(([, facts]) => value(facts)),
  ];
  const table = tableOf(
    "Rows after encoding",
    ["", ...both.map(([name]) => name)],
    [
      rows("Rows", ({ examples }) => grouped(examples)),
      rows("Tokens", ({ tokens }) => grouped(tokens)),
      rows(
        "Of them trained on",
        ({ targetTokens, tokens }) => `${grouped(targetTokens)} (${percent(tokens && targetTokens / tokens)})`,
      ),
      rows("Tokens a row, on average", ({ tokens, examples }) => (examples ? (tokens / examples).toFixed(1) : "—")),
      rows(`Cut to ${config.maxLength ?? "?"} tokens`, ({ truncated, cutTokens }) =>
        truncated ? `${grouped(truncated)} (${several(cutTokens, "token")} lost)` : "0",
      ),
      rows("Left out, too long", ({ dropped }) => grouped(dropped)),
    ],
  );
  const { validation, validationFraction } = config;
  const held =
    validation !== undefined
      ? ` Validation rows are those of ${basename(validation)}.`
      : validationFraction
        ? ` For validation ${percent(validationFraction)} of the rows were held out.`
        : "";
  return {
    id: "data",
    title: "Data",
    content: html`${table}
<p class="note">Trained on are the tokens of answers; the others are read only.${held}</p>
<div class="pair">${both.map(([name, { lengths }]) => lengthsHtml(name, lengths))}</div>`,
  };
}

function lengthsHtml(name: string, lengths: RowFacts["lengths"] | undefined): Fragment {
  if (lengths === undefined || lengths.counts.length === 0) return undefined;
  const { width, counts } = lengths;
  const bin = (i: number): string =>
    width === 1 ? several(i + 1, "token") : `${i * width + 1} to ${(i + 1) * width} tokens`;
  const title = (i: number): string => `${bin(i)}: ${several(counts[i] ?? 0, "row")}`;
  return html`<figure class="lengths"><figcaption>Lengths of ${name.toLowerCase()} rows</figcaption>
${histogram(counts, title, `${name} rows by length: ${counts.map((_, i) => title(i)).join("; ")}`)}
<p class="scale"><span>0</span><span>tokens a row, bins of ${width}</span><span>${grouped(width * counts.length)}</span></p></figure>`;
}
