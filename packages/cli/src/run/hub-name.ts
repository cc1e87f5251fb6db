import { isRepoId } from "@ft/weights";

/** A model of the hub as it is written on the command line: `org/name`, `org/name/file.gguf`, either with `@revision`. */
export interface HubName {
  readonly id: string;
  /** one file of the repository */
  readonly file: string | undefined;
  readonly revision: string | undefined;
}

/** Reads a name; undefined for a text that can only be a path. Says nothing about there being such a model. */
export function parseHubName(text: string): HubName | undefined {
  const at = text.indexOf("@");
  const [left, revision] = at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
  const [org = "", name = "", ...rest] = left.split("/");
  const id = `${org}/${name}`;
  if (!isRepoId(id) || revision === "" || (rest.length > 0 && !left.endsWith(".gguf"))) return undefined;
  if (rest.some((step) => step === "" || step === "." || step === "..")) return undefined;
  if (rest.length === 0 && left.endsWith(".gguf")) return undefined; // folder/file.gguf
  return { id, file: rest.length === 0 ? undefined : rest.join("/"), revision };
}
