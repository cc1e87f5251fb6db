import { basename } from "node:path";
import { size } from "../plan/sizes.ts";
import { type Fragment, html } from "./html.ts";
import { grouped, moment, several } from "./numbers.ts";
import { methodOf, modelName } from "./overview.ts";
import type { ReportedRun } from "./read-run.ts";
import { listOf, type Section, tableOf } from "./section.ts";

/** What the result is, what it belongs to, and where it was made. */
export function setupSection(run: ReportedRun): Section {
  const { config, hashes = {}, parameters, machine, versions, started } = run.record;
  const recipe = listOf([
    ["Base", modelName(config.model)],
    ["Method", methodOf(run)],
    ["Target modules", targetsOf(run)],
    ["Parameters", parameters && `${grouped(parameters.trainable)} trained of ${grouped(parameters.total)}`],
    ["Result", resultOf(run)],
    ["Optimizer", config.optimizer && `${config.optimizer}, ${config.schedule} from ${config.learningRate}`],
    ["Batch", batchOf(run)],
    ["Seed", config.seed],
  ]);
  const environment = listOf([
    ["Date", started && moment(started)],
    ["Backend", machine?.backend],
    ["Processor", machine?.processor],
    ["Memory of the machine", machine && size(machine.memory)],
    ["Platform", machine?.platform],
    ["Versions", versions && `ft ${versions.ft}, Node ${versions.node}`],
  ]);
  const files = Object.entries(hashes).map(([file, hash]) => [basename(file), html`<code>${hash}</code>`]);
  const content = html`<div class="pair"><div><h3>Model and recipe</h3>${recipe}</div><div><h3>Environment</h3>${environment}</div></div>
<details><summary>Configuration, as resolved</summary><pre tabindex="0">${JSON.stringify(config, null, 2)}</pre></details>
${files.length > 0 && html`<details><summary>SHA-256 of what went in</summary>${tableOf("Files", ["File", "SHA-256"], files)}</details>`}`;
  return { id: "setup", title: "Setup", content };
}

function targetsOf({ record: { config } }: ReportedRun): Fragment {
  const { method, lora } = config;
  if (method === undefined || method === "full") return undefined;
  const modules = lora?.targetModules;
  return Array.isArray(modules) ? modules.join(", ") : (modules ?? "all linear layers");
}

function resultOf({ record: { config }, metrics: { end } }: ReportedRun): string {
  if (end?.reason !== "finished" && end?.reason !== "early-stopping") return "none yet";
  const folder = config.method === "full" ? "model/" : "adapter/";
  return end.bestStep === undefined ? folder : `${folder}, the weights of step ${end.bestStep}`;
}

function batchOf({ record: { config } }: ReportedRun): string | undefined {
  const { batchSize, batchTokens, accumulation = 1, packing } = config;
  if (batchSize === undefined && batchTokens === undefined) return undefined;
  const batch = batchTokens === undefined ? several(batchSize ?? 0, "row") : `${grouped(batchTokens)} positions`;
  return `${batch} × ${accumulation}${packing ? ", packed" : ""}`;
}
