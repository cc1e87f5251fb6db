import { createHash } from "node:crypto";
import type { Evaluation } from "../eval/evaluation.ts";
import { chartData, curvesSection } from "./curves.ts";
import { dataSection } from "./data-section.ts";
import { measuresSection, samplesSection } from "./evaluation-sections.ts";
import { Html, html, scriptJson } from "./html.ts";
import { memorySection } from "./memory-section.ts";
import { headerHtml, remarksHtml, tilesHtml } from "./overview.ts";
import type { ReportedRun } from "./read-run.ts";
import { reduceSteps } from "./reduce.ts";
import { type Section, sectionHtml } from "./section.ts";
import { setupSection } from "./setup-section.ts";

/** What stands beside the text: one style sheet, one script. */
export interface PageAssets {
  readonly style: string;
  readonly script: string;
}

/** The whole page of a run. It asks for nothing outside itself, and its policy lets nothing else run. */
export function reportPage(
  run: ReportedRun,
  evaluation: Evaluation | undefined,
  { style, script }: PageAssets,
): string {
  const reduced = reduceSteps(run.metrics.steps);
  const sections = [
    curvesSection(run.metrics, reduced),
    measuresSection(evaluation),
    samplesSection(evaluation),
    memorySection(run),
    dataSection(run),
    setupSection(run),
  ].filter((section): section is Section => section !== undefined);
  const policy = `default-src 'none'; script-src ${hash(script)}; style-src ${hash(style)}; img-src data:; base-uri 'none'; form-action 'none'`;
  const data = chartData(run.metrics, reduced, run.record.config.clipNorm);
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${run.name} · training report</title>
<link rel="icon" href="data:,">
<style>${new Html(style)}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the report</a>
${headerHtml(run)}
<nav aria-label="Contents">${sections.map(({ id, title }) => html`<a href="#${id}">${title}</a>`)}</nav>
<main id="main">
${tilesHtml(run)}${remarksHtml(run)}${sections.map(sectionHtml)}</main>
<footer><p>Written by ft ${run.record.versions?.ft ?? ""}. Everything on this page is in this one file.</p></footer>
<script type="application/json" id="curve-data">${scriptJson(data)}</script>
<script>${new Html(script)}</script>
</body>
</html>
`.markup;
}

function hash(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}
