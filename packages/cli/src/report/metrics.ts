import type { EndEvent } from "@ft/trainer";

/** A step of metrics.jsonl. What was not finite, or is not there, is NaN. */
export interface StepPoint {
  readonly step: number;
  /** since the start of the run */
  readonly tokens: number;
  /** since the start of the run, evaluations included */
  readonly seconds: number;
  readonly epoch: number;
  readonly loss: number;
  readonly learningRate: number;
  readonly gradNorm: number;
  readonly tokensPerSecond: number;
  readonly lossScale: number;
  readonly skipped: boolean;
}

/** An evaluation of metrics.jsonl. */
export interface EvaluationPoint {
  readonly step: number;
  readonly tokens: number;
  readonly seconds: number;
  readonly loss: number;
}

/** metrics.jsonl, read. */
export interface RunMetrics {
  readonly steps: readonly StepPoint[];
  readonly evaluations: readonly EvaluationPoint[];
  readonly warnings: readonly { readonly step: number; readonly message: string }[];
  /** the last checkpoint that was written */
  readonly checkpoint: number | undefined;
  readonly end: Partial<EndEvent> | undefined;
  /** lines that are not an event, such as one that a crash tore */
  readonly unreadable: number;
}

/** Reads the text of metrics.jsonl; lines that cannot be read are counted and passed over. */
export function parseMetrics(text: string): RunMetrics {
  const steps: StepPoint[] = [];
  const evaluations: EvaluationPoint[] = [];
  const warnings: { step: number; message: string }[] = [];
  let [tokens, seconds, unreadable] = [0, 0, 0];
  let checkpoint: number | undefined;
  let end: Partial<EndEvent> | undefined;
  for (const line of text.split("\n")) {
    if (line.trim() === "") continue;
    const event = parseLine(line);
    const number = (key: string): number => (typeof event?.[key] === "number" ? event[key] : Number.NaN);
    const step = number("step");
    if (event === undefined || Number.isNaN(step)) {
      unreadable++;
      continue;
    }
    if (event.type === "step") {
      tokens += number("tokens") || 0;
      seconds += number("seconds") || 0;
      steps.push({
        step,
        tokens,
        seconds,
        epoch: number("epoch"),
        loss: number("loss"),
        learningRate: number("learningRate"),
        gradNorm: number("gradNorm"),
        tokensPerSecond: number("tokensPerSecond"),
        lossScale: number("lossScale"),
        skipped: event.skipped === true,
      });
    } else if (event.type === "eval") {
      seconds += number("seconds") || 0;
      evaluations.push({ step, tokens, seconds, loss: number("loss") });
    } else if (event.type === "warning") warnings.push({ step, message: String(event.message) });
    else if (event.type === "checkpoint") checkpoint = step;
    else if (event.type === "end") end = event;
  }
  return { steps, evaluations, warnings, checkpoint, end, unreadable };
}

function parseLine(line: string): Record<string, unknown> | undefined {
  try {
    const event: unknown = JSON.parse(line);
    return typeof event === "object" && event !== null && !Array.isArray(event) ? { ...event } : undefined;
  } catch {
    return undefined;
  }
}
