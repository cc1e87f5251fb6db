import { FtError } from "@ft/tensor";
import { type CommittedFile, isSame, makeCommit } from "./commit.ts";
import { eachOf } from "./each-of.ts";
import { lfsTransfers, type Transfer } from "./lfs-batch.ts";
import { uploadLarge } from "./lfs-upload.ts";
import { uploadModes } from "./preupload.ts";
import { type HubRepo, hubRepo, isCommit } from "./repo.ts";
import { type HubOptions, type HubSettings, hubSettings } from "./settings.ts";
import { type LocalFile, localFile, type UploadFile } from "./upload-file.ts";
import { type UploadProgress, uploadProgress } from "./upload-progress.ts";
import { writableRepo } from "./writable-repo.ts";

/** Files looked at at a time: a process may have few open. */
const filesAtATime = 16;

/** Where files go, how, and who is told. */
export interface UploadFilesOptions extends HubOptions {
  /** a branch, made where it is not there; "main" when absent */
  readonly revision?: string | undefined;
  /** first line of the commit's message */
  readonly message?: string | undefined;
  /** a repository that has to be made is private; one that is public is refused */
  readonly isPrivate?: boolean | undefined;
  /** a pull request instead of a commit on the branch */
  readonly createPr?: boolean | undefined;
  /** large files uploaded at a time; 4 when absent */
  readonly maxWorkers?: number | undefined;
  /** told what was made, and whenever bytes have gone */
  readonly onEvent?: ((event: UploadEvent) => void) | undefined;
  /** stops the upload, up to the moment when the commit is asked for */
  readonly signal?: AbortSignal | undefined;
}

/** What an upload tells: what it had to make, how far it is, and that it can no longer be stopped. */
export type UploadEvent =
  | { readonly type: "made"; readonly what: "repository" | "branch" }
  | ({ readonly type: "progress" } & UploadProgress)
  | { readonly type: "committing" };

/** What an upload came to. */
export interface UploadedFiles {
  /** the commit that was made; the branch's newest one where nothing had changed */
  readonly commit: string;
  /** its page */
  readonly url: string;
  /** page of the pull request, where one was asked for */
  readonly pullRequest: string | undefined;
  /** paths in the commit: new, or with other content than before */
  readonly changed: readonly string[];
  readonly unchanged: readonly string[];
  /** paths of files that were to be new only, and are there */
  readonly kept: readonly string[];
  /** paths that the repository's .gitignore leaves out */
  readonly ignored: readonly string[];
  /** paths that were on the branch before and are not among the files; they stay there */
  readonly others: readonly string[];
  /** bytes of large files that went over the network in this call */
  readonly sent: number;
}

/**
 * Uploads files to a model's repository on the hub as one commit: all of them appear, or none. Makes the repository and the branch
 * where they are not there. Sends what the branch does not hold; large files go to their storage as streams, at most once each,
 * also over several calls. Errors: "input" (id, revision or path misspelt, what the hub does not accept), "config" (no token, one
 * that may not write, a public repository that was to be private, offline), "missing" (no such file), "io" (network, storage,
 * a branch that somebody else changed meanwhile). When the signal aborts before the commit, its reason is thrown.
 * The protocol is that of huggingface_hub: https://huggingface.co/docs/huggingface_hub/guides/upload
 */
export async function uploadFiles(
  id: string,
  given: readonly UploadFile[],
  options: UploadFilesOptions = {},
): Promise<UploadedFiles> {
  const { createPr = false, isPrivate = false, maxWorkers = 4, onEvent: tell } = options;
  const { repo, settings } = checkUpload(id, options);
  const signal = options.signal ?? new AbortController().signal;
  signal.throwIfAborted();
  if (given.length === 0) throw new FtError("input", `no files for ${id}`, "give at least one");
  const local = await eachOf(given, filesAtATime, signal, (file) => localFile(file, signal));
  const twice = local.find(({ path }, i) => local.findIndex((one) => one.path === path) !== i);
  if (twice !== undefined) throw new FtError("input", `${twice.path} is given twice`, "give every path once");

  const made = (what: "repository" | "branch"): void => tell?.({ type: "made", what });
  const makesBranch = !createPr && !repo.revision.startsWith("refs/");
  const before = await writableRepo(repo, { isPrivate, makesBranch, made }, settings, signal);
  const etags = new Map(before.files.map(({ path, etag }) => [path, etag]));
  const files = local.filter(({ path }, i) => !(given[i]?.onlyNew && etags.has(path)));
  const same = await eachOf(files, 2, signal, (file) => isSame(file, etags.get(file.path)));
  const modes = await uploadModes(
    files.filter((_, i) => !same[i]),
    repo,
    createPr,
    settings,
    signal,
  );
  const paths = new Set(local.map(({ path }) => path));
  const rest = {
    kept: local.filter((file) => !files.includes(file)).map(({ path }) => path),
    unchanged: files.filter((_, i) => same[i]).map(({ path }) => path),
    ignored: [...modes].filter(([, mode]) => mode === "ignored").map(([path]) => path),
    others: before.files.map(({ path }) => path).filter((path) => !paths.has(path)),
  };
  const changed: CommittedFile[] = files
    .filter(({ path }) => modes.has(path) && modes.get(path) !== "ignored")
    .map((file) => ({ file, isLarge: modes.get(file.path) === "lfs" }));
  if (changed.length === 0) {
    const { commit } = before;
    const url = `${settings.endpoint}/${id}/commit/${commit}`;
    return { commit, url, pullRequest: undefined, changed: [], ...rest, sent: 0 };
  }

  const objects = await largeObjects(changed, signal);
  const large = [...objects].map(([oid, { path, size }]) => ({ oid, path, size }));
  const transfers = await lfsTransfers(large, repo, settings, signal);
  const progress = uploadProgress(changed, objects, transfers, (state) => tell?.({ type: "progress", ...state }));
  await eachOf([...transfers], maxWorkers, signal, async ([oid, transfer], stop) => {
    const file = objects.get(oid);
    if (file === undefined) return;
    const { path, size } = file;
    const report = (bytes: number): void => progress.moved(oid, bytes);
    const renew = async (): Promise<Transfer | undefined> =>
      (await lfsTransfers([{ oid, path, size }], repo, settings, stop)).get(oid);
    await uploadLarge(file, transfer, { id, settings, report, renew }, stop);
  });
  for (const { file } of changed) await file.checkUnchanged();
  signal.throwIfAborted();
  tell?.({ type: "committing" });
  const message = options.message ?? `Upload ${changed.length} files`;
  const facts = { repo, parent: before.commit, message, files: changed, createPr };
  // from here on it cannot be told whether the hub has begun, so the answer is waited for
  const commit = await makeCommit(facts, settings, new AbortController().signal);
  progress.finish();
  return { ...commit, changed: changed.map(({ file }) => file.path), ...rest, sent: progress.sent() };
}

/** What can be told of an upload without a request: whether there is a token, and a name to upload to. Codes "input", "config". */
export function checkUpload(
  id: string,
  options: Pick<UploadFilesOptions, "revision" | keyof HubOptions> = {},
): { readonly repo: HubRepo; readonly settings: HubSettings } {
  const repo = hubRepo(id, options.revision);
  const settings = hubSettings(options);
  const { revision } = repo;
  const { offline, token, endpoint } = settings;
  if (!id.includes("/"))
    throw new FtError(
      "input",
      `"${id}" does not say whose repository it is`,
      `give the account as well: ACCOUNT/${id}`,
    );
  if (isCommit(revision))
    throw new FtError("input", `${revision.slice(0, 12)}… is a commit, to which nothing is added`, "give a branch");
  if (offline)
    throw new FtError("config", "the hub is switched off, so nothing can be uploaded", "unset HF_HUB_OFFLINE");
  if (token === undefined)
    throw new FtError(
      "config",
      `there is no token to upload to ${id} with`,
      `make one that may write at ${endpoint}/settings/tokens and set HF_TOKEN to it, or use \`hf auth login\``,
    );
  return { repo, settings };
}

/** Large files by the SHA-256 of their content, once each. */
async function largeObjects(changed: readonly CommittedFile[], signal: AbortSignal): Promise<Map<string, LocalFile>> {
  const large = changed.filter(({ isLarge }) => isLarge);
  const oids = await eachOf(large, 2, signal, ({ file }) => file.sha256());
  const objects = new Map<string, LocalFile>();
  for (const [i, { file }] of large.entries()) {
    const oid = oids[i] ?? "";
    if (!objects.has(oid)) objects.set(oid, file);
  }
  return objects;
}
