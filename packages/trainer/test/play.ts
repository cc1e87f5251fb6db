import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { FtError } from "@ft/tensor";
import { type TrainEvent, train } from "../src/index.ts";
import type { Run } from "./run.ts";

type Options = Run["options"];

/** Trains to the end and frees the model: the run is then in its events and its checkpoint. */
export async function play({ model, options }: Run, change: Partial<Options> = {}): Promise<TrainEvent[]> {
  const events: TrainEvent[] = [];
  try {
    for await (const event of train({ ...options, ...change })) events.push(event);
  } finally {
    model.dispose();
  }
  return events;
}

/** Stops the run within a step: before micro-batch `micro` of step `step`. */
export function stopAt(options: Options, step: number, micro: number): Partial<Options> {
  const stop = new AbortController();
  return {
    signal: stop.signal,
    beforeMicroBatch(at) {
      options.beforeMicroBatch?.(at);
      if (at.step === step && at.micro === micro) stop.abort();
    },
  };
}

/** Events of a run without what is of the clock, of paths, or of having been stopped. */
export function history(events: readonly TrainEvent[]): object[] {
  return events.flatMap((event): object[] => {
    if (event.type === "step") {
      const { seconds: _, tokensPerSecond: __, ...rest } = event;
      return [rest];
    }
    if (event.type === "eval") {
      const { seconds: _, ...rest } = event;
      return [rest];
    }
    return [];
  });
}

/** The files of a folder. */
export async function bytesOf(folder: string): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for (const name of (await readdir(folder)).sort()) files.set(name, await readFile(join(folder, name)));
  return files;
}

/** The FtError that a promise is rejected with. */
export async function failure(promise: Promise<unknown>): Promise<FtError> {
  const error = await promise.then(
    () => new Error("it did not fail"),
    (reason: unknown) => reason,
  );
  if (error instanceof FtError) return error;
  throw error;
}
