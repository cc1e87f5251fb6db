import { FtError } from "@ft/tensor";
import type { PeakMemory, TrainEvent } from "@ft/trainer";
import { size } from "../plan/sizes.ts";

/**
 * The same events; a backend that fails under way, without memory or because the card was lost, is an error that also
 * says what is saved, and what was planned.
 */
export async function* withSaved(
  events: AsyncIterable<TrainEvent>,
  planned: PeakMemory | undefined,
): AsyncGenerator<TrainEvent, void, undefined> {
  let saved: number | undefined;
  let step = 0;
  try {
    for await (const event of events) {
      if (event.type === "start") saved = event.step > 0 ? event.step : undefined;
      if (event.type === "step") step = event.step;
      if (event.type === "checkpoint") saved = event.step;
      yield event;
    }
  } catch (error) {
    if (!FtError.is(error) || error.code !== "backend") throw error;
    const what = error.message.endsWith(`; ${error.hint}`)
      ? error.message.slice(0, -error.hint.length - 2)
      : error.message;
    const plan = planned === undefined ? "" : `; the plan was ${size(planned.resident)}`;
    const rest =
      saved === undefined
        ? "no checkpoint was written yet"
        : `the checkpoint of step ${saved} is intact: continue with --resume`;
    throw new FtError("backend", `after step ${step}: ${what}${plan}`, `${error.hint}; ${rest}`, { cause: error });
  }
}

/** The same events; what the last one says of memory is what the backend says, which on a card is what is held there. */
export async function* withPeak(
  events: AsyncGenerator<TrainEvent, void, undefined>,
  peak: () => PeakMemory,
): AsyncGenerator<TrainEvent, void, undefined> {
  for await (const event of events) yield event.type === "end" ? { ...event, memory: peak() } : event;
}
