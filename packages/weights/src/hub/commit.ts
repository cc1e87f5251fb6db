import { FtError } from "@ft/tensor";
import { bytesBody } from "./body.ts";
import { type Listing, record } from "./listing.ts";
import { longAnswer, readJson } from "./post.ts";
import type { HubRepo } from "./repo.ts";
import { type Request, send, textOf } from "./request.ts";
import type { HubSettings } from "./settings.ts";
import { retrying, Transient } from "./transient.ts";
import type { LocalFile } from "./upload-file.ts";
import { findFiles } from "./writable-repo.ts";
import { writeError } from "./write-error.ts";

/** A file of a commit, and whether its content lies in the storage of large files. */
export interface CommittedFile {
  readonly file: LocalFile;
  readonly isLarge: boolean;
}

/** What a commit is made of. */
export interface CommitFacts {
  readonly repo: HubRepo;
  /** the commit it is made on; the hub refuses it when the branch has another by then */
  readonly parent: string;
  readonly message: string;
  readonly files: readonly CommittedFile[];
  readonly createPr: boolean;
}

export interface CommitMade {
  readonly commit: string;
  readonly url: string;
  readonly pullRequest: string | undefined;
}

/**
 * Makes one commit of all files. It names its parent, so one that is sent twice is made once; when its answer was lost, the
 * branch tells. A pull request has no such guard and is asked for once.
 */
export async function makeCommit(facts: CommitFacts, settings: HubSettings, signal: AbortSignal): Promise<CommitMade> {
  const { repo, createPr } = facts;
  const { id, revision } = repo;
  const { endpoint } = settings;
  const url = `${endpoint}/api/models/${id}/commit/${encodeURIComponent(revision)}${createPr ? "?create_pr=1" : ""}`;
  const what = `the commit to ${id}`;
  const headers = { "content-type": "application/x-ndjson" };
  const body = bytesBody(await commitLines(facts));
  const request: Request = {
    ...{ url, method: "POST", headers, body, what, id },
    ...{ accepts: [412], answerWithin: longAnswer, refuse: writeError },
  };
  const ask = async (): Promise<{ readonly status: number; readonly text: string }> => {
    const answer = await send(request, settings, signal);
    return { status: answer.status, text: await textOf(answer) };
  };
  return retrying(
    async () => {
      const { status, text } = await ask().catch((error: unknown) => {
        throw createPr && error instanceof Transient ? lostPullRequest(error, `${endpoint}/${id}/discussions`) : error;
      });
      if (status !== 412) return readCommit(text, what);
      // the branch has another commit by now: this one, when its answer was lost
      const now = createPr ? undefined : await findFiles(repo, settings, signal);
      if (typeof now === "object" && (await holdsAll(now, facts.files)))
        return { commit: now.commit, url: `${endpoint}/${id}/commit/${now.commit}`, pullRequest: undefined };
      throw new FtError(
        "io",
        `${what}: somebody else has changed ${revision} meanwhile`,
        "look at what it holds now and do the same again; large files are not sent again",
      );
    },
    settings,
    signal,
  );
}

function lostPullRequest({ final }: Transient, page: string): FtError {
  const { code, message, hint } = final;
  const why = message.endsWith(`; ${hint}`) ? message.slice(0, -hint.length - 2) : message;
  return new FtError(code, why, `see ${page} before trying again: the pull request may be there`, { cause: final });
}

/** One JSON object a line: the message, then the files, small ones with their content. */
async function commitLines({ message, parent, files }: CommitFacts): Promise<Uint8Array> {
  const lines = [Buffer.from(line("header", { summary: message, description: "", parentCommit: parent }))];
  for (const { file, isLarge } of files) {
    const { path, size } = file;
    const value = isLarge
      ? { path, algo: "sha256", oid: await file.sha256(), size }
      : { path, content: Buffer.from(await file.bytes()).toString("base64"), encoding: "base64" };
    lines.push(Buffer.from(line(isLarge ? "lfsFile" : "file", value)));
  }
  return Buffer.concat(lines);
}

function line(key: string, value: object): string {
  return `${JSON.stringify({ key, value })}\n`;
}

function readCommit(text: string, what: string): CommitMade {
  const { commitOid, commitUrl, pullRequestUrl } = record(readJson(text, what));
  if (typeof commitOid !== "string" || typeof commitUrl !== "string")
    throw new FtError("format", `${what}: the hub's answer names no commit`, "look at the repository: it may be made");
  const pullRequest = typeof pullRequestUrl === "string" ? pullRequestUrl : undefined;
  return { commit: commitOid, url: commitUrl, pullRequest };
}

/** Whether a branch holds these files with this content. */
async function holdsAll({ files }: Listing, wanted: readonly CommittedFile[]): Promise<boolean> {
  const etags = new Map(files.map(({ path, etag }) => [path, etag]));
  for (const { file } of wanted) if (!(await isSame(file, etags.get(file.path)))) return false;
  return true;
}

/** Whether a file has the content that an etag names: Git's SHA-1 of a small one, SHA-256 of a large one. */
export async function isSame(file: LocalFile, etag: string | undefined): Promise<boolean> {
  if (etag?.length === 64) return (await file.sha256()) === etag;
  return etag?.length === 40 && (await file.gitSha1()) === etag;
}
