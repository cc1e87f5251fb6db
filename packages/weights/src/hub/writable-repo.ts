import { FtError } from "@ft/tensor";
import { type Listing, listingRequest, parseListing } from "./listing.ts";
import { post } from "./post.ts";
import type { HubRepo } from "./repo.ts";
import { send, textOf } from "./request.ts";
import type { HubSettings } from "./settings.ts";
import { retrying } from "./transient.ts";
import { writeError } from "./write-error.ts";

/** What is asked of a repository, and who hears what had to be made. */
export interface WritableOptions {
  /** it must be, or is made, one that others do not see */
  readonly isPrivate: boolean;
  /** a branch that is not there is made */
  readonly makesBranch: boolean;
  readonly made: (what: "repository" | "branch") => void;
}

/** What a branch of a repository holds; either is made where it is not there. Code "config" when it is public and must not be. */
export async function writableRepo(
  repo: HubRepo,
  { isPrivate, makesBranch, made }: WritableOptions,
  settings: HubSettings,
  signal: AbortSignal,
): Promise<Listing> {
  const { id, revision } = repo;
  const page = `${settings.endpoint}/${id}`;
  let found = await findFiles(repo, settings, signal);
  if (found === "no repository") {
    if (await createRepo(id, isPrivate, settings, signal)) made("repository");
    found = await findFiles(repo, settings, signal);
  }
  if (found === "no revision" && makesBranch) {
    if (await createBranch(repo, settings, signal)) made("branch");
    found = await findFiles(repo, settings, signal);
  }
  if (found === "no repository")
    throw new FtError("missing", `${id}: the hub has it neither before nor after it was made`, "check HF_ENDPOINT");
  if (found === "no revision")
    throw new FtError("missing", `${id} has no branch ${revision}`, `its branches are at ${page}/tree/main`);
  if (isPrivate && found.isPrivate !== true)
    throw new FtError("config", `${id} is not private`, `make it private at ${page}/settings, or do not ask for it`);
  return found;
}

/** What a branch holds, or what is missing for that. */
export async function findFiles(
  repo: HubRepo,
  settings: HubSettings,
  signal: AbortSignal,
): Promise<Listing | "no repository" | "no revision"> {
  const request = { ...listingRequest(repo, settings), accepts: [404], refuse: writeError };
  return retrying(
    async () => {
      const answer = await send(request, settings, signal);
      const text = await textOf(answer);
      if (answer.status !== 404) return parseListing(text, request.what);
      return answer.header("x-error-code") === "RevisionNotFound" ? "no revision" : "no repository";
    },
    settings,
    signal,
  );
}

/** False when somebody else was faster. */
async function createRepo(
  id: string,
  isPrivate: boolean,
  settings: HubSettings,
  signal: AbortSignal,
): Promise<boolean> {
  const url = `${settings.endpoint}/api/repos/create`;
  const [organization, name] = id.split("/");
  // without a word on it, an organisation's own rule holds
  const value = { type: "model", name, organization, ...(isPrivate && { visibility: "private" }) };
  return (await post({ url, value, what: `making ${id}`, id, accepts: [409] }, settings, signal)).status !== 409;
}

async function createBranch({ id, revision }: HubRepo, settings: HubSettings, signal: AbortSignal): Promise<boolean> {
  const url = `${settings.endpoint}/api/models/${id}/branch/${encodeURIComponent(revision)}`;
  const what = `making the branch ${revision} of ${id}`;
  return (await post({ url, value: {}, what, id, accepts: [409] }, settings, signal)).status !== 409;
}
