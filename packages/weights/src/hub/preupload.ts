import { FtError } from "@ft/tensor";
import { postForList } from "./post.ts";
import type { HubRepo } from "./repo.ts";
import type { HubSettings } from "./settings.ts";
import type { LocalFile } from "./upload-file.ts";

/** How the hub wants a file: in the commit itself, in its storage of large files, or not at all (a .gitignore there). */
export type UploadMode = "regular" | "lfs" | "ignored";

const filesAtATime = 256;

/** Asks how each file is wanted. */
export async function uploadModes(
  files: readonly LocalFile[],
  { id, revision }: HubRepo,
  createPr: boolean,
  settings: HubSettings,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, UploadMode>> {
  const url = `${settings.endpoint}/api/models/${id}/preupload/${encodeURIComponent(revision)}${createPr ? "?create_pr=1" : ""}`;
  const modes = new Map<string, UploadMode>();
  for (let at = 0; at < files.length; at += filesAtATime) {
    const some = files.slice(at, at + filesAtATime);
    const asked = some.map(({ path, size, sample }) => ({
      path,
      size,
      sample: Buffer.from(sample).toString("base64"),
    }));
    const what = `${some.length} files for ${id}`;
    const answers = await postForList({ url, value: { files: asked }, what, id }, "files", settings, signal);
    for (const { path, uploadMode, shouldIgnore } of answers) {
      const mode = shouldIgnore === true ? "ignored" : uploadMode;
      if (typeof path === "string" && (mode === "regular" || mode === "lfs" || mode === "ignored"))
        modes.set(path, mode);
    }
  }
  // the storage of large files has none without a byte
  for (const { path, size } of files) if (size === 0 && modes.get(path) === "lfs") modes.set(path, "regular");
  const forgotten = files.find(({ path }) => !modes.has(path));
  if (forgotten !== undefined)
    throw new FtError("format", `the hub does not say how it takes ${forgotten.path}`, "check HF_ENDPOINT");
  return modes;
}
