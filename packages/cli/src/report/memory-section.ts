import { size } from "../plan/sizes.ts";
import { bar, stack } from "./bars.ts";
import { type Fragment, html } from "./html.ts";
import { percent } from "./numbers.ts";
import type { ReportedRun } from "./read-run.ts";
import { type Section, tableOf } from "./section.ts";

/** Planned memory against what was measured. */
export function memorySection({ record: { planned, machine }, metrics: { end } }: ReportedRun): Section {
  const measured = end?.memory;
  const card = machine?.backend.startsWith("cuda");
  const most = Math.max(planned?.resident ?? 0, measured?.resident ?? 0, 1);
  const row = (name: string, before: number | undefined, after: number | undefined): Fragment[] => {
    const cell = (bytes: number | undefined, style: string): Fragment =>
      bytes === undefined ? "—" : html`${bar(bytes / most, style)}<span>${size(bytes)}</span>`;
    const off = before && after ? `${after < before ? "−" : "+"}${percent(Math.abs(after / before - 1))}` : "—";
    return [name, cell(before, "planned"), cell(after, "measured"), off];
  };
  const parts = planned?.parts ?? [];
  const whole = parts.reduce((sum, { bytes }) => sum + bytes, 0);
  const content =
    planned === undefined && measured === undefined
      ? html`<p class="empty">Neither a plan nor a measured peak is recorded.</p>`
      : html`${tableOf(
          "Planned and measured peaks",
          ["", "Planned", "Measured", "Difference"],
          [
            row(card ? "Held on the card" : "Whole process", planned?.resident, measured?.resident),
            row("Of it tensors", planned?.tensors, measured?.tensors),
          ],
        )}
${measured === undefined && html`<p class="note">The measured peak is written at the end of a run, which this one has not come to.</p>`}
${
  whole > 0 &&
  html`<h3>What a step was planned to hold</h3>
${stack(
  parts.map(({ bytes }) => bytes),
  whole,
  parts.map(({ name, bytes }) => `${name} ${size(bytes)}`).join(", "),
)}
<ul class="key">${parts.map(({ name, bytes }, i) => html`<li class="part-${i}"><i></i>${name} <b>${size(bytes)}</b></li>`)}</ul>${planned?.moment !== undefined && planned.moment !== "a step" && html`<p class="note">More than a step holds ${planned.moment}.</p>`}`
}`;
  return { id: "memory", title: "Memory", content };
}
