import { FtError } from "@ft/tensor";
import {
  type UploadEvent,
  type UploadedFiles,
  type UploadFile,
  type UploadFilesOptions,
  uploadFiles,
} from "@ft/weights";
import type { Io } from "../io.ts";
import { showProgress } from "../run/download.ts";

/** What had to be made for an upload. */
export interface Made {
  readonly repository: boolean;
  readonly branch: boolean;
}

/** Uploads and shows how far it is. Ctrl-C leaves the branch as it was, unless the commit has been asked for. */
export async function uploadShown(
  id: string,
  files: readonly UploadFile[],
  options: UploadFilesOptions,
  io: Io,
  signal: AbortSignal,
): Promise<UploadedFiles & { readonly made: Made }> {
  const shown = showProgress(io);
  const made = { repository: false, branch: false };
  const tooLate = (): void => io.note("the commit is on its way: waiting for the hub's answer");
  const onEvent = (event: UploadEvent): void => {
    if (event.type === "progress") shown.update({ ...event, received: event.sent });
    else if (event.type === "committing") signal.addEventListener("abort", tooLate, { once: true });
    else {
      made[event.what] = true;
      io.note(event.what === "repository" ? `made        ${id}` : `made        branch ${options.revision}`);
    }
  };
  try {
    return { ...(await uploadFiles(id, files, { ...options, onEvent, signal })), made };
  } catch (error) {
    if (!signal.aborted || error !== signal.reason) throw error;
    const left = made.repository ? "was made and has none of these files" : "is as it was";
    throw new FtError(
      "interrupted",
      `stopped before the commit; ${id} ${left}`,
      "the same command sends only what has not arrived",
    );
  } finally {
    signal.removeEventListener("abort", tooLate);
    shown.end();
  }
}
