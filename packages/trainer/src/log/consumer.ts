import type { TrainEvent } from "../events.ts";

/** Something that follows a run: a log file, a progress bar, a chart. Give it every event, in order. */
export interface Consumer {
  event(event: TrainEvent): void | Promise<void>;
  /** Finishes what it writes; called once, also after a failure. */
  close(): void | Promise<void>;
}

/** Hands every event on to consumers before it is given to the caller, and closes them at the end, however that comes. */
export async function* watched(
  events: AsyncGenerator<TrainEvent, void, undefined>,
  consumers: readonly Consumer[],
): AsyncGenerator<TrainEvent, void, undefined> {
  try {
    for await (const event of events) {
      for (const consumer of consumers) await consumer.event(event);
      yield event;
    }
  } finally {
    for (const consumer of consumers) await consumer.close();
  }
}
