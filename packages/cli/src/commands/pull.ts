import { FtError } from "@ft/tensor";
import type { Io } from "../io.ts";
import { bytes, downloadShown } from "../run/download.ts";
import { parseHubName } from "../run/hub-name.ts";
import { unusedFiles, usedFiles } from "../run/hub-patterns.ts";

export interface PullFlags {
  readonly revision?: string;
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  /** folder of the cache */
  readonly cache?: string;
}

/** `ft pull`: a model of the hub into the cache, or what is missing of it. Prints the folder, which `--model` takes too. */
export async function pullCommand(given: string, flags: PullFlags, io: Io, signal: AbortSignal): Promise<void> {
  const name = parseHubName(given);
  if (name?.revision !== undefined && flags.revision !== undefined)
    throw new FtError("config", `${given} and --revision both give a revision`, "keep one of them");
  const id = name?.id ?? given;
  const revision = flags.revision ?? name?.revision;
  const { include = name?.file === undefined ? undefined : [name.file], exclude = [] } = flags;
  const got = await downloadShown(
    id,
    {
      revision,
      cacheDir: flags.cache,
      allowPatterns: include ?? usedFiles.model,
      ignorePatterns: include === undefined ? [...unusedFiles, ...exclude] : exclude,
    },
    io,
    signal,
  );
  const size = got.files.reduce((sum, file) => sum + file.size, 0);
  io.note(`${got.files.length} files, ${bytes(size)}, ${bytes(got.received)} of them downloaded now`);
  if (include === undefined && !got.files.some(({ path }) => path.endsWith(".safetensors")))
    io.note(`${id} has no safetensors; of a repository of GGUF files take one: ft pull ${id} --include '*Q4_1.gguf'`);
  io.print(got.folder);
  const { folder, commit, files, received } = got;
  io.document({ id, revision: revision ?? "main", commit, folder, files, received });
}
