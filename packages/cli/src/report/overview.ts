import { basename } from "node:path";
import { duration } from "../plan/estimate.ts";
import { size } from "../plan/sizes.ts";
import { type Fragment, type Html, html } from "./html.ts";
import type { StepPoint } from "./metrics.ts";
import { figure, grouped, moment, percent, rough, several } from "./numbers.ts";
import type { ReportedRun } from "./read-run.ts";

/** How a run ended, in words and as the colour of its badge. */
export function stateOf({ metrics, running }: ReportedRun): { readonly word: string; readonly style: string } {
  const reason = metrics.end?.reason;
  if (reason === "finished") return { word: "finished", style: "good" };
  if (reason === "early-stopping") return { word: "stopped early", style: "good" };
  if (reason === "aborted") return { word: "interrupted", style: "bad" };
  if (running) return { word: "running", style: "open" };
  return { word: metrics.steps.length === 0 ? "no steps" : "ended without a result", style: "bad" };
}

/** A model's name for people: of a hub's cache the repository, otherwise the last part of the path. */
export function modelName(path: string | undefined): string {
  if (path === undefined) return "unknown model";
  const cached = /models--([^/\\]+?)--([^/\\]+)/.exec(path);
  return cached ? `${cached[1]}/${cached[2]}` : basename(path);
}

/** "QLoRA over nf4, r 8, alpha 16": what was trained. */
export function methodOf({ record: { config } }: ReportedRun): string {
  const { method, lora, quantization } = config;
  if (method === undefined) return "Training";
  if (method === "full") return "All weights";
  const name = `${method === "qlora" ? "QLoRA" : "LoRA"}${quantization?.type === undefined ? "" : ` over ${quantization.type}`}`;
  return lora?.r === undefined ? name : `${name}, r ${lora.r}, alpha ${lora.alpha}`;
}

/** Name, state and the run in one sentence. */
export function headerHtml(run: ReportedRun): Html {
  const { word, style } = stateOf(run);
  const { config, started } = run.record;
  return html`<header>
<div class="title"><h1>${run.name}</h1> <span class="state ${style}">${word}</span>
<button id="theme" type="button" hidden></button></div>
<p class="lead">${methodOf(run)} on <strong>${modelName(config.model)}</strong>${config.data !== undefined && html`, with rows of <strong>${basename(config.data)}</strong>`}${started !== undefined && html`<span class="when"> · ${moment(started)}</span>`}</p>
</header>
`;
}

interface Tile {
  readonly name: string;
  readonly value: Fragment;
  readonly note?: Fragment;
}

/** The figures that are asked for first. */
export function tilesHtml(run: ReportedRun): Html {
  const tiles = [...lossTiles(run), ...workTiles(run)];
  return html`<dl class="tiles tiles-${tiles.length}">${tiles.map(
    ({ name, value, note }) =>
      html`<div><dt>${name}</dt><dd><b>${value}</b>${note && html`<small>${note}</small>`}</dd></div>`,
  )}</dl>
`;
}

function lossTiles({ metrics: { steps, evaluations } }: ReportedRun): Tile[] {
  const tiles: Tile[] = [];
  const finite = evaluations.filter(({ loss }) => Number.isFinite(loss));
  const [first] = finite;
  const best = finite.reduce((low, one) => (one.loss < low.loss ? one : low), first ?? noEvaluation);
  if (first) {
    const change =
      first.loss > 0 && best !== first ? `from ${figure(first.loss)} (−${percent(1 - best.loss / first.loss)})` : "";
    tiles.push({
      name: "Validation loss, best",
      value: figure(best.loss),
      note: `${change}${change && ", "}step ${best.step}`,
    });
    const perplexity = figure(Math.exp(best.loss));
    tiles.push({
      name: "Perplexity, best",
      value: perplexity,
      note: best !== first && `from ${figure(Math.exp(first.loss))}`,
    });
  }
  const last = steps.slice(-10).filter(({ loss }) => Number.isFinite(loss));
  const [begin] = steps;
  if (last.length > 0)
    tiles.push({
      name: `Training loss, last ${last.length === 1 ? "step" : `${last.length} steps`}`,
      value: figure(last.reduce((sum, { loss }) => sum + loss, 0) / last.length),
      note: begin && Number.isFinite(begin.loss) && `from ${figure(begin.loss)}`,
    });
  return tiles;
}

const noEvaluation = { step: 0, tokens: 0, seconds: 0, loss: Number.POSITIVE_INFINITY };

function workTiles({ record, metrics: { steps, evaluations, end } }: ReportedRun): Tile[] {
  const last = steps.at(-1);
  if (last === undefined) return [];
  const tiles: Tile[] = [];
  const epochs = Number.isFinite(last.epoch) ? `${Number(last.epoch.toFixed(2))}` : undefined;
  tiles.push({
    name: "Steps",
    value: grouped(last.step),
    note: epochs && `${epochs} ${epochs === "1" ? "epoch" : "epochs"} · ${rough(last.tokens)} tokens`,
  });
  const computing = (points: readonly StepPoint[]): number =>
    points.reduce((sum, { tokens, tokensPerSecond }, i) => {
      const seen = tokens - (points[i - 1]?.tokens ?? 0);
      return tokensPerSecond > 0 ? sum + seen / tokensPerSecond : sum;
    }, 0);
  const seconds = computing(steps);
  const whole = Math.max(last.seconds, evaluations.at(-1)?.seconds ?? 0);
  if (seconds > 0)
    tiles.push({ name: "Time", value: duration(whole), note: `${rough(last.tokens / seconds)} tokens/s in training` });
  const { parameters } = record;
  if (parameters)
    tiles.push({
      name: "Trained parameters",
      value: rough(parameters.trainable),
      note: `${percent(parameters.trainable / parameters.total)} of ${rough(parameters.total)}`,
    });
  if (end?.memory) tiles.push({ name: "Peak memory", value: size(end.memory.resident), note: "measured" });
  return tiles;
}

/** What a reader should know before believing the curves. */
export function remarksHtml(run: ReportedRun): Fragment {
  const { metrics, record } = run;
  const { steps, warnings, unreadable, checkpoint, end } = metrics;
  const broken = steps.filter(({ loss }) => !Number.isFinite(loss));
  const skipped = steps.filter((step) => step.skipped).length;
  const cut = record.data?.training.truncated ?? 0;
  const dropped = record.data?.training.dropped ?? 0;
  const state = stateOf(run);
  const rest =
    checkpoint === undefined
      ? "No checkpoint was written."
      : `The checkpoint of step ${checkpoint} is there: --resume continues from it.`;
  const remarks = [
    state.style === "bad" &&
      `The run ${end ? "was interrupted" : "did not come to its end"} after ${several(steps.length, "step")}. ${rest}`,
    state.style === "open" && "The run was going on when this page was written.",
    broken.length > 0 &&
      `The training loss was not finite in ${several(broken.length, "step")}, first in step ${broken[0]?.step}.`,
    skipped > 0 && `${several(skipped, "step")} changed nothing but the loss scale: a gradient was not finite.`,
    cut > 0 &&
      record.data &&
      `${several(cut, "row")} of ${grouped(record.data.training.examples)} were cut to ${record.config.maxLength ?? "the longest length of"} tokens; ${several(record.data.training.cutTokens, "token")} were lost.`,
    dropped > 0 && `${several(dropped, "row")} were left out: too long.`,
    end?.bestStep !== undefined &&
      end.bestStep !== end.step &&
      `The result has the weights of step ${end.bestStep}, where the validation loss was lowest.`,
    unreadable > 0 &&
      `${several(unreadable, "line")} of metrics.jsonl could not be read and ${unreadable === 1 ? "is" : "are"} left out.`,
    ...warnings.slice(0, 20).map(({ step, message }) => `Step ${step}: ${message}`),
    warnings.length > 20 && `${warnings.length - 20} more warnings are in metrics.jsonl.`,
  ].filter((remark) => typeof remark === "string");
  return (
    remarks.length > 0 &&
    html`<ul class="remarks" aria-label="Remarks">${remarks.map((remark) => html`<li>${remark}</li>`)}</ul>
`
  );
}
