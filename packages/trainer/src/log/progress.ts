import type { TrainEvent } from "../events.ts";
import type { Consumer } from "./consumer.ts";

/** Where progress is shown: `process.stderr`, or anything like it. */
export interface ProgressStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** Where progress is shown. */
export interface ProgressOptions {
  /** process.stderr */
  readonly stream?: ProgressStream;
  /** milliseconds; for tests */
  readonly now?: () => number;
}

/**
 * Shows a run to a person: on a terminal one line that is rewritten (bar, step, loss, tokens/s, time left), elsewhere a
 * plain line about every twentieth of the run. Evaluations and warnings get lines of their own.
 */
export function progressLog(options: ProgressOptions = {}): Consumer {
  const { stream = process.stderr, now = Date.now } = options;
  const terminal = stream.isTTY === true;
  let first = { step: 0, at: now() };
  let total = 0;
  let shown = false;
  const clear = (): void => {
    if (shown) stream.write("\r\u001b[K");
    shown = false;
  };
  const line = (text: string): void => {
    clear();
    stream.write(`${text}\n`);
  };
  return {
    event(event) {
      if (event.type === "start") {
        total = event.totalSteps;
        first = { step: event.step, at: now() };
        if (event.resumedFrom !== undefined) line(`resumed after step ${event.step} from ${event.resumedFrom}`);
      } else if (event.type === "step") {
        const { step } = event;
        const left = ((now() - first.at) / 1000 / (step - first.step)) * (total - step);
        const facts = [
          `step ${step}/${total}`,
          `loss ${event.loss.toFixed(4)}`,
          ...(event.skipped ? [`left out, loss scale ${event.lossScale}`] : []),
          `${count(event.tokensPerSecond)} tokens/s`,
          `${duration(left)} left`,
        ].join("  ");
        if (terminal) {
          stream.write(`\r\u001b[K${fitted(facts, step / total, stream.columns ?? 80)}`);
          shown = true;
        } else if (step === total || step % Math.max(1, Math.round(total / 20)) === 0) line(facts);
      } else {
        const text = notice(event);
        if (text !== undefined) line(text);
      }
    },
    close() {
      // The last state stays readable: the cursor moves on below it.
      if (shown) stream.write("\n");
      shown = false;
    },
  };
}

/** What is worth a line of its own; a checkpoint is routine. */
function notice(event: TrainEvent): string | undefined {
  if (event.type === "eval")
    return `eval  step ${event.step}  loss ${event.loss.toFixed(4)}${event.best ? "  (best so far)" : ""}`;
  if (event.type === "warning") return `warning: ${event.message}`;
  if (event.type !== "end") return undefined;
  const best =
    event.bestStep === undefined ? "" : `, best loss ${event.bestLoss?.toFixed(4)} at step ${event.bestStep}`;
  const how = { finished: "finished", "early-stopping": "stopped early, no improvement", aborted: "stopped" }[
    event.reason
  ];
  return `${how} after step ${event.step}${best}`;
}

/** The facts behind a bar that takes what is left of the line, if that is enough for one. */
function fitted(facts: string, done: number, columns: number): string {
  const room = Math.min(30, columns - 1 - facts.length - 4);
  if (room < 5) return facts.slice(0, Math.max(0, columns - 1));
  const filled = Math.round(done * room);
  return `[${"#".repeat(filled)}${"-".repeat(room - filled)}]  ${facts}`;
}

/** 853, 12.3k */
function count(n: number): string {
  return n < 1000 ? n.toFixed(0) : `${(n / 1000).toFixed(1)}k`;
}

/** 45s, 3m20s, 2h05m */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  const two = (n: number): string => String(n).padStart(2, "0");
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m${two(s % 60)}s`;
  return `${Math.floor(s / 3600)}h${two(Math.floor((s % 3600) / 60))}m`;
}
