import { FtError } from "@ft/tensor";
import { checkUpload, isRepoId } from "@ft/weights";
import type { Io } from "../io.ts";
import { cardFor } from "../push/card.ts";
import { chooseFiles } from "../push/choose-files.ts";
import { checkWeightsGo, pushable } from "../push/pushable.ts";
import { uploadShown } from "../push/upload-shown.ts";
import { withoutPaths } from "../push/without-paths.ts";
import { bytes } from "../run/download.ts";
import { version } from "../version.ts";

export interface PushFlags {
  readonly private?: boolean;
  readonly revision?: string;
  readonly message?: string;
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  readonly createPr?: boolean;
  /** id of the base on the hub, where the folder names it by a path */
  readonly baseModel?: string;
}

/** `ft push`: an adapter, a model or an export to the hub as one commit, with a model card. Prints the commit's page. */
export async function pushCommand(
  given: string,
  id: string,
  flags: PushFlags,
  io: Io,
  signal: AbortSignal,
): Promise<void> {
  const { revision, include, exclude = [], baseModel, createPr, private: isPrivate } = flags;
  checkUpload(id, { revision });
  if (baseModel !== undefined && !isRepoId(baseModel))
    throw new FtError("config", `--base-model ${baseModel} is not the id of a model on the hub`, "give org/name");
  const what = await pushable(given);
  const { folder, kind, hashes } = what;
  io.note(`${kind.padEnd(11)} ${folder}${hashes.size > 0 ? `; ${hashes.size} files are as they were written` : ""}`);
  const paths = await chooseFiles(folder, include, exclude);
  // a choice of files is the user's
  const chosen = include !== undefined || exclude.length > 0;
  if (!chosen) checkWeightsGo(what, paths);
  const { files, base, edited } = await withoutPaths(what, paths, { given, id, baseModel });
  for (const path of edited) io.note(`changed     ${path}, in the copy that goes up`);
  if (kind === "adapter" && base === undefined)
    io.note("            nothing names its base: --base-model org/name does");
  const needsCard = !chosen && !paths.includes("README.md");
  const text = needsCard ? await cardFor(what, { id, base, paths }) : undefined;
  // somebody may have written on the one that is there
  const card = text === undefined ? [] : [{ path: "README.md", content: Buffer.from(text), onlyNew: true }];
  const done = await uploadShown(
    id,
    [...card, ...files],
    { revision, isPrivate, createPr, message: flags.message ?? `Upload ${kind} with ft ${version}` },
    io,
    signal,
  );
  const { changed, unchanged, kept, ignored, others, sent, url, pullRequest, commit, made } = done;
  if (changed.includes("README.md") && needsCard) io.note("card        README.md was made: the folder has none");
  if (kept.length > 0) io.note(`card        README.md of ${id} stays: the folder has none to replace it`);
  if (ignored.length > 0) io.note(`left out    ${ignored.join(", ")}: the repository's .gitignore says so`);
  if (changed.length === 0) io.note(`nothing changed: ${id} has all ${unchanged.length} files`);
  else
    io.note(`pushed      ${changed.length} files, ${unchanged.length} unchanged; ${bytes(sent)} of large files sent`);
  const stale = others.filter((path) => /\.(safetensors|safetensors\.index\.json|gguf|bin)$/.test(path));
  if (stale.length > 0)
    io.note(`            ${id} also has ${stale.join(", ")}, not in this folder: programs may load them instead`);
  io.print(pullRequest ?? url);
  io.document({
    ...{ id, revision: revision ?? "main", commit, url, pullRequest: pullRequest ?? null },
    ...{ kind, folder, made, changed, unchanged, kept, ignored, others, sent },
  });
}
