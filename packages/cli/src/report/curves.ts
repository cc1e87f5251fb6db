import { html } from "./html.ts";
import type { RunMetrics } from "./metrics.ts";
import { figure, grouped, several } from "./numbers.ts";
import { columns, type Reduced } from "./reduce.ts";
import { type Section, tableOf } from "./section.ts";

const titles: Readonly<Record<string, string>> = {
  loss: "Loss",
  learningRate: "Learning rate",
  gradNorm: "Gradient norm",
  tokensPerSecond: "Tokens per second",
  lossScale: "Loss scale",
};
const smoothed = ["loss", "gradNorm", "tokensPerSecond"];

/** The charts, which the page's script draws, and the evaluations as a table. */
export function curvesSection({ steps, evaluations }: RunMetrics, { points, bucket }: Reduced): Section {
  if (steps.length === 0 && evaluations.length === 0)
    return { id: "curves", title: "Curves", content: html`<p class="empty">metrics.jsonl has no steps yet.</p>` };
  const charts = Object.keys(titles).filter((column) => column in points);
  const content = html`
<noscript><p class="empty">The curves need scripts. Every value is in metrics.jsonl of the run.</p></noscript>
<div id="controls" class="controls" hidden>
<label>Smoothing <input id="smoothing" type="range" min="0" max="0.99" step="0.01" value="${steps.length < 20 ? 0 : 0.6}"> <output id="smoothing-value" for="smoothing"></output></label>
<label>Along <select id="axis"><option value="step">steps</option><option value="tokens">tokens</option><option value="seconds">time</option></select></label>
<label><input id="log" type="checkbox"> Log scale</label>
<button id="reset" type="button" disabled>Reset zoom</button>
</div>
<div class="charts">
${charts.map(
  (
    column,
  ) => html`<figure data-column="${column}" data-height="${column === "loss" ? 340 : 210}"${smoothed.includes(column) && html` data-smoothed`}>
<figcaption id="chart-${column}">${titles[column]}</figcaption>${
    column === "loss" &&
    html`
<p class="legend"><span class="train"><i></i>training</span>${evaluations.length > 0 && html`<span class="held"><i></i>validation</span>`}</p>`
  }
<div class="plot" tabindex="0" role="application" aria-roledescription="chart" aria-labelledby="chart-${column}" aria-describedby="chart-keys"><svg aria-hidden="true"></svg><div class="tip" aria-live="polite" hidden></div></div>
</figure>
`,
)}</div>
<p id="chart-keys" class="note">Drag over a chart to zoom all of them, double-click or double-tap to see everything again. On the keyboard: arrow keys move, + and − zoom, Escape resets.${bucket > 1 && ` Of ${grouped(steps.length)} steps, each group of ${bucket} is drawn by its smallest and largest values; the lines through them are made of its mean.`} ${evaluations.length === 0 && "There were no rows held out, and so there is no validation loss."}</p>
${
  evaluations.length > 0 &&
  html`<details><summary>${several(evaluations.length, "evaluation")} as a table</summary>
${tableOf(
  "Evaluations",
  ["Step", "Tokens", "Validation loss", "Perplexity"],
  evaluations
    .slice(0, 200)
    .map(({ step, tokens, loss }) => [step, grouped(tokens), figure(loss), figure(Math.exp(loss))]),
)}${evaluations.length > 200 && html`<p class="note">The first 200; metrics.jsonl has all.</p>`}
</details>`
}`;
  return { id: "curves", title: "Curves", content };
}

/** What the script of the page draws from. */
export function chartData(metrics: RunMetrics, reduced: Reduced, clipNorm: number | undefined): object {
  return {
    ...reduced,
    evaluations: columns(thinned(metrics.evaluations), ["step", "tokens", "seconds", "loss"]),
    best: metrics.end?.bestStep ?? null,
    clipNorm: clipNorm ?? 0,
    labels: {
      learningRate: "learning rate",
      gradNorm: "gradient norm",
      tokensPerSecond: "tokens/s",
      lossScale: "loss scale",
    },
  };
}

/** At most a thousand, evenly, the last among them. */
function thinned<T>(points: readonly T[]): readonly T[] {
  const every = Math.ceil(points.length / 1000);
  return points.filter((_, i) => (points.length - 1 - i) % every === 0);
}
