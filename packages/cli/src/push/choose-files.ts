import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { FtError } from "@ft/tensor";
import { globMatcher } from "@ft/weights";

/** What runs, exports and editors leave beside the files that make a model; it goes up only where a pattern asks for it. */
const localState = [
  ...["manifest.json", "run.json", "metrics.jsonl", "report.html", "events.out.tfevents*", "checkpoints/"],
  ...["eval.json", "eval.md", "eval/", "*predictions*.jsonl", "*optimizer*", "training_args.bin", "trainer_state.json"],
  ...["*.partial", "*.incomplete", "*~", "*.swp"],
];

/** Paths of the files in a folder that go up, in order. Code "missing" when the patterns leave nothing. */
export async function chooseFiles(
  folder: string,
  include: readonly string[] | undefined,
  exclude: readonly string[],
): Promise<readonly string[]> {
  const paths = (await filesBelow(folder)).sort();
  const isLocal = globMatcher(localState);
  const isHidden = (path: string): boolean => /(^|\/)\.(?!gitattributes$)/.test(path);
  const asked = include === undefined ? (path: string) => !isLocal(path) && !isHidden(path) : globMatcher(include);
  const left = globMatcher(exclude);
  const chosen = paths.filter((path) => asked(path) && !left(path) && !/(^|\/)\.git\//.test(path));
  if (chosen.length > 0) return chosen;
  const some = paths.slice(0, 12).join(", ");
  throw new FtError("missing", `--include and --exclude leave no file of ${folder}`, `it has ${some}`);
}

async function filesBelow(folder: string, below = ""): Promise<string[]> {
  const paths: string[] = [];
  for (const entry of await readdir(join(folder, below), { withFileTypes: true })) {
    const path = below === "" ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory()) paths.push(...(await filesBelow(folder, path)));
    // in a cache of the hub, files are links to their content
    else if ((await stat(join(folder, path)).catch(() => undefined))?.isFile()) paths.push(path);
  }
  return paths;
}
