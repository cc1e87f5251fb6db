import { FtError } from "@ft/tensor";

/** A model of the hub at a revision: a branch, a tag, or a commit of 40 hexadecimal digits. */
export interface HubRepo {
  /** "org/name", or "name" alone for a few old models */
  readonly id: string;
  readonly revision: string;
}

const idPattern = /^(?:[A-Za-z0-9_](?:[\w.-]{0,94}\w)?\/)?[A-Za-z0-9_](?:[\w.-]{0,94}\w)?$/;
const commitPattern = /^[0-9a-f]{40}$/;

/** Whether a text is spelled like the id of a model on the hub; says nothing about there being one. */
export function isRepoId(text: string): boolean {
  return idPattern.test(text) && !/--|\.\.|\.git$/.test(text);
}

/** Whether a revision is a whole commit, which never changes. */
export function isCommit(revision: string): boolean {
  return commitPattern.test(revision);
}

/** Checks an id and a revision before either becomes part of a URL or a path. Code "input". */
export function hubRepo(id: string, revision = "main"): HubRepo {
  if (!isRepoId(id)) {
    const inside = /^(?:https?:\/\/)?[\w.-]+\.[a-z]{2,}\/(?:models\/)?([\w.-]+\/[\w.-]+)/i.exec(id)?.[1];
    const hint =
      inside !== undefined && isRepoId(inside)
        ? `did you mean ${inside}?`
        : "an id is org/name: letters, digits, and - _ . inside";
    throw new FtError("input", `"${clip(id)}" is not the id of a model on the hub`, hint);
  }
  const steps = revision.split("/");
  const sound = steps.every((step) => /^[\w+][\w.+-]*$/.test(step) && !step.includes("..") && !/\.(lock)?$/.test(step));
  if (!sound || revision.length > 200)
    throw new FtError("input", `"${clip(revision)}" is not a revision of ${id}`, "give a branch, a tag or a commit");
  return { id, revision };
}

/** Whether the path of a file in a repository stays inside any folder it is joined to, on every system. */
export function isFilePath(path: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  if (path.length > 1000 || /[\x00-\x1f\\:*?"<>|]/.test(path)) return false;
  return path.split("/").every((step) => step !== "" && step !== "." && step !== "..");
}

function clip(text: string): string {
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}
