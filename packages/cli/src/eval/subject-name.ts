import { basename, dirname, resolve } from "node:path";

/** A short name for each path, unique and fit for a file name: of a run's adapter that of the run. */
export function subjectNames(paths: readonly string[], taken: readonly string[] = []): readonly string[] {
  const names = [...taken];
  for (const path of paths) {
    const full = resolve(path);
    const last = basename(full) === "adapter" ? basename(dirname(full)) : basename(full);
    const plain = last.replace(/[^\p{L}\p{N}._-]/gu, "-") || "adapter";
    let name = plain;
    for (let i = 2; names.includes(name); i++) name = `${plain}-${i}`;
    names.push(name);
  }
  return names.slice(taken.length);
}
