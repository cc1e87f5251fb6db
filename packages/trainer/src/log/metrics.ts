import { type FileHandle, open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { FtError } from "@ft/tensor";
import { writeFileAtomic } from "@ft/weights";
import type { TrainEvent } from "../events.ts";
import type { Consumer } from "./consumer.ts";

/**
 * Writes `metrics.jsonl`: one JSON object per event. A resumed run cuts off what came after the checkpoint it continues
 * from, so that no step stands there twice; a fresh run starts an empty file. Code "io" when the disk fails.
 */
export function metricsLog(dir: string): Consumer {
  const path = join(dir, "metrics.jsonl");
  let file: FileHandle | undefined;
  const failed = (error: unknown): FtError =>
    new FtError("io", `cannot write ${path}`, "check the folder, its permissions and the disk space", { cause: error });
  return {
    async event(event) {
      try {
        if (event.type === "start") {
          await file?.close();
          await writeFileAtomic(path, event.resumedFrom === undefined ? "" : await linesUntil(path, event.step));
          file = await open(path, "a");
          return;
        }
        file ??= await open(path, "a");
        await file.appendFile(`${JSON.stringify(flat(event))}\n`);
      } catch (error) {
        throw FtError.is(error) ? error : failed(error);
      }
    },
    async close() {
      await file?.close();
      file = undefined;
    },
  };
}

/** An evaluation's metrics stand beside its loss: `{"type":"eval","step":50,"loss":1.71,"perplexity":5.53}`. */
function flat(event: TrainEvent): object {
  if (event.type !== "eval") return event;
  const { metrics, ...rest } = event;
  return { ...metrics, ...rest };
}

/** The whole lines of a log up to a step. Lines of an end are left out: it was not the end. So is a line torn by a crash. */
async function linesUntil(path: string, step: number): Promise<string> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
    throw error;
  });
  const kept = text.split("\n").filter((line) => {
    const at = stepOf(line);
    return at !== undefined && at <= step;
  });
  return kept.map((line) => `${line}\n`).join("");
}

function stepOf(line: string): number | undefined {
  try {
    const event: unknown = JSON.parse(line);
    if (typeof event !== "object" || event === null || !("step" in event) || !("type" in event)) return undefined;
    return event.type !== "end" && typeof event.step === "number" ? event.step : undefined;
  } catch {
    return undefined;
  }
}
