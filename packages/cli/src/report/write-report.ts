import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { FtError } from "@ft/tensor";
import { writeFileAtomic } from "@ft/weights";
import { type PageAssets, reportPage } from "./page.ts";
import { readEvaluation } from "./read-evaluation.ts";
import { readRun } from "./read-run.ts";

/** What a report is made with beside the run's folder. */
export interface ReportOptions {
  /** folder of an evaluation; its own one, where the run has one, when it is absent */
  readonly evaluation?: string | undefined;
  /** where to write it; report.html in the run's folder when it is absent */
  readonly out?: string | undefined;
  /** the caller knows that the run is over, though its folder may still be locked */
  readonly over?: boolean;
}

/** Writes the page of a run and returns its path. Errors: "missing", "format", "io". */
export async function writeReport(dir: string, { evaluation, out, over }: ReportOptions = {}): Promise<string> {
  const run = await readRun(dir);
  const page = reportPage(
    over ? { ...run, running: false } : run,
    await readEvaluation(dir, evaluation),
    await assets(),
  );
  const path = out ?? join(dir, "report.html");
  await writeFileAtomic(path, page);
  return path;
}

/** Style and script of the page: the modules of page/ in one scope, which no import crosses. */
async function assets(): Promise<PageAssets> {
  const scripts = await Promise.all(["scales.js", "chart.js", "report.js"].map(pageFile));
  const joined = scripts.map((text) => text.replace(/^import .*$/gm, "").replace(/^export /gm, "")).join("\n");
  return { style: await pageFile("report.css"), script: `(() => {\n"use strict";\n${joined}})();\n` };
}

/** A file of page/, seen from `dist/` or from `src/report/`. Line ends are those that a browser would hash. */
async function pageFile(name: string): Promise<string> {
  for (const up of ["../", "../../"])
    try {
      return (await readFile(new URL(`${up}page/${name}`, import.meta.url), "utf8")).replaceAll("\r\n", "\n");
    } catch {
      // the other place
    }
  throw new FtError("missing", `page/${name} of @ft/cli cannot be read`, "reinstall @ft/cli");
}
