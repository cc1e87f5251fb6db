import { FtError } from "@ft/tensor";
import {
  type DownloadedSnapshot,
  type DownloadProgress,
  type SnapshotDownloadOptions,
  snapshotDownload,
} from "@ft/weights";
import type { Io } from "../io.ts";

/** Downloads and shows how far it is: a bar on a terminal, a line for every tenth elsewhere. Ctrl-C keeps what has come. */
export async function downloadShown(
  id: string,
  options: SnapshotDownloadOptions,
  io: Io,
  signal: AbortSignal,
): Promise<DownloadedSnapshot> {
  const shown = showProgress(io);
  let last: DownloadProgress | undefined;
  const onProgress = (progress: DownloadProgress): void => {
    last = progress;
    shown.update(progress);
  };
  try {
    return await snapshotDownload(id, { ...options, onProgress, signal });
  } catch (error) {
    if (!signal.aborted) throw error;
    const kept = last === undefined ? "nothing came yet" : `${bytes(last.bytes)} of ${bytes(last.size)} are kept`;
    throw new FtError("interrupted", `stopped; ${kept}`, "the same command goes on from there");
  } finally {
    shown.end();
  }
}

const barWidth = 20;

/** How far a transfer is, in bytes and files. */
type Transfer = Pick<DownloadProgress, "bytes" | "size" | "received" | "filesDone" | "files">;

/** Shows a transfer as it goes. `received` is what came, or went, over the network. */
export function showProgress({ progress: stream, note }: Io): { update(progress: Transfer): void; end(): void } {
  const begun = performance.now();
  let drawn = 0;
  let tenth = -1;
  const text = ({ bytes: there, size, received, filesDone, files }: Transfer): string => {
    const share = size === 0 ? 1 : there / size;
    const rate = bytes(received / Math.max(0.001, (performance.now() - begun) / 1000));
    const bar = "█".repeat(Math.floor(share * barWidth)).padEnd(barWidth, "░");
    const percent = `${Math.floor(100 * share)} %`.padStart(5);
    return `${stream.isTTY ? `${bar} ` : ""}${percent}  ${bytes(there)} of ${bytes(size)}  ${rate}/s  ${filesDone}/${files} files`;
  };
  return {
    update(progress) {
      const whole = progress.bytes === progress.size;
      if (stream.isTTY) {
        if (!whole && performance.now() - drawn < 100) return;
        drawn = performance.now();
        stream.write(`\r\x1b[K${text(progress).slice(0, stream.columns - 1)}`);
        return;
      }
      const reached = progress.size === 0 ? 10 : Math.floor((10 * progress.bytes) / progress.size);
      if (reached === tenth) return;
      tenth = reached;
      note(text(progress));
    },
    end() {
      if (drawn > 0) stream.write("\n");
    },
  };
}

/** 1234567 as "1.2 MB"; powers of 1000, as the hub shows sizes. */
export function bytes(count: number): string {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  const power = count < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(count) / 3));
  return `${(count / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}
