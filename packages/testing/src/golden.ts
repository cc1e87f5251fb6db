import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { FtError } from "@ft/tensor";

/** Reads a golden JSON file. The shape is the reader's claim: the script that made the file is its witness. */
export async function golden<T>(url: URL): Promise<T> {
  let text: string;
  try {
    text = await readFile(url, "utf8");
  } catch (cause) {
    throw new FtError(
      "io",
      `[golden] ${url.pathname} cannot be read`,
      "run the script in tools/goldens that makes it",
      { cause },
    );
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FtError(
      "format",
      `[golden] ${url.pathname} is not JSON`,
      "run the script in tools/goldens that makes it",
      { cause },
    );
  }
}

/**
 * Absolute path of a file in `shared/data` beside the repository, or undefined where that folder is absent, as in a
 * fresh clone: tests that need it are then skipped, visibly.
 */
export function sharedData(path: string): string | undefined {
  for (let folder = process.cwd(); ; folder = dirname(folder)) {
    if (existsSync(join(folder, "pnpm-workspace.yaml"))) {
      const found = join(folder, "..", "shared", "data", path);
      return existsSync(found) ? found : undefined;
    }
    if (dirname(folder) === folder) return undefined;
  }
}
