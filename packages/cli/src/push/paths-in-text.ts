import { homedir } from "node:os";
import { basename, isAbsolute, resolve, sep } from "node:path";

/** Whether a text names a path of this machine: in or of the folder, the run's files, the home or the current folder. */
export function namesPaths(text: string, folder: string, config: Readonly<Record<string, unknown>> = {}): boolean {
  const files = [config.model, config.data, config.validation, config.out].filter((path) => typeof path === "string");
  const exact = [resolve(folder), ...files.filter(isAbsolute)].map((path) => pathPattern(path));
  // a home alone, such as /root, may be anybody's
  const below = [homedir(), process.cwd()].map((path) => pathPattern(`${path}${sep}`, ""));
  return [...exact, ...below].some((pattern) => pattern?.test(text));
}

/** A text that tells how a folder is used, for one who has it from the hub: its files by their names, the folder by the id. */
export function withoutFolder(text: string, given: string, folder: string, id: string): string {
  const swap = (part: string, path: string): string => {
    const inside = pathPattern(`${path}${sep}`, "");
    const itself = pathPattern(path);
    return inside && itself ? part.replace(inside, "").replace(itself, () => id) : part;
  };
  const whole = [resolve(given), resolve(folder)].reduce(swap, text);
  // as written on the command line, or by its name alone, it may be a word of any kind, but not in a command
  const words = [given.replace(/^\.\/|\/+$/g, ""), basename(resolve(folder))];
  return whole.replace(/^```[\s\S]*?^```$/gm, (block) => words.reduce(swap, block));
}

/** A path where it stands as one, as text and as JSON has it; undefined for roots, of which everything is a part. */
function pathPattern(path: string, end = "(?![\\w-]|\\.\\w)"): RegExp | undefined {
  if (path.replaceAll(sep, "").length < 2) return undefined;
  const written = [path, JSON.stringify(path).slice(1, -1)].map((one) => one.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
  return new RegExp(`(?<=^|[^\\w./\\\\-]|file://)(?:${[...new Set(written)].join("|")})${end}`, "gm");
}
