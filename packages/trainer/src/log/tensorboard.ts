import { type FileHandle, mkdir, open } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { FtError } from "@ft/tensor";
import type { TrainEvent } from "../events.ts";
import type { Consumer } from "./consumer.ts";
import { type EventContent, encodeEvent, tfRecord } from "./event-file.ts";

/**
 * Writes an event file for TensorBoard: train/loss, train/grad_norm, train/learning_rate, train/tokens_per_second,
 * train/epoch, and eval/ followed by each metric's name. A resumed run adds a file that takes over from its first step on.
 */
export function tensorBoardLog(dir: string): Consumer {
  let file: FileHandle | undefined;
  let path = dir;
  const write = async (step: number, content: EventContent): Promise<void> => {
    await file?.appendFile(tfRecord(encodeEvent(Date.now() / 1000, step, content)));
  };
  return {
    async event(event) {
      try {
        if (file === undefined) {
          await mkdir(dir, { recursive: true });
          ({ file, path } = await create(dir));
          await write(0, { fileVersion: "brain.Event:2" });
        }
        if (event.type === "start" && event.resumedFrom !== undefined)
          await write(event.step + 1, { sessionStart: true });
        const scalars = scalarsOf(event);
        if (scalars.length > 0) await write(event.step, { scalars });
      } catch (error) {
        throw new FtError("io", `cannot write ${path}`, "check the folder, its permissions and the disk space", {
          cause: error,
        });
      }
    },
    async close() {
      await file?.close();
      file = undefined;
    },
  };
}

/** TensorBoard reads files in the order of their names, so a second file of the same second must sort behind the first. */
async function create(dir: string): Promise<{ file: FileHandle; path: string }> {
  const seconds = String(Math.floor(Date.now() / 1000)).padStart(10, "0");
  for (let n = 0; ; n++) {
    const path = join(dir, `events.out.tfevents.${seconds}.${hostname()}.${process.pid}.${n}`);
    try {
      return { file: await open(path, "wx"), path };
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    }
  }
}

function scalarsOf(event: TrainEvent): { tag: string; value: number }[] {
  if (event.type === "step")
    return [
      { tag: "train/loss", value: event.loss },
      { tag: "train/grad_norm", value: event.gradNorm },
      { tag: "train/learning_rate", value: event.learningRate },
      { tag: "train/tokens_per_second", value: event.tokensPerSecond },
      { tag: "train/epoch", value: event.epoch },
      ...(event.lossScale === undefined ? [] : [{ tag: "train/loss_scale", value: event.lossScale }]),
    ];
  if (event.type === "eval")
    return Object.entries(event.metrics).map(([name, value]) => ({ tag: `eval/${name}`, value }));
  return [];
}
