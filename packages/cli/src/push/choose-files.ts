import { readdir, realpath, stat } from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import { FtError } from "@ft/tensor";
import { globMatcher } from "@ft/weights";

/** What runs, exports and editors leave beside the files that make a model; it goes up only where a pattern asks for it. */
const localState = [
  ...["manifest.json", "run.json", "metrics.jsonl", "report.html", "events.out.tfevents*", "checkpoints/"],
  ...[
    "eval.json",
    "eval.md",
    "eval/",
    "*predictions*.jsonl",
    "losses.*.jsonl",
    "general.*.jsonl",
    "*optimizer*",
    "training_args.bin",
    "trainer_state.json",
  ],
  ...["*.partial", "*.incomplete", "*~", "*.swp"],
];

/**
 * Paths of the files in a folder that go up, in order; without patterns there may be none. Codes "missing" when the patterns leave nothing,
 * "input" for a link that leads out of the folder.
 */
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
  if (chosen.length > 0 || (include === undefined && exclude.length === 0)) {
    await refuseLinksOut(folder, chosen);
    return chosen;
  }
  const some = paths.slice(0, 12).join(", ");
  throw new FtError("missing", `--include and --exclude leave no file of ${folder}`, `it has ${some}`);
}

/** What a link leads to goes up as a file: it must lie in the folder, or be content of the hub's cache that the folder is a snapshot of. */
async function refuseLinksOut(folder: string, paths: readonly string[]): Promise<void> {
  const home = await realpath(folder);
  // .../blobs beside .../snapshots/<commit>, for the snapshot and for folders in it
  const cache = /^(.+)[\\/]snapshots[\\/][^\\/]+(?:[\\/]|$)/.exec(home)?.[1];
  const blobs = cache === undefined ? undefined : join(cache, "blobs");
  const leadsOut = async (path: string): Promise<boolean> => {
    const target = await realpath(join(folder, path));
    return !target.startsWith(home.endsWith(sep) ? home : home + sep) && dirname(target) !== blobs;
  };
  const out: string[] = [];
  for (const path of paths) if (await leadsOut(path)) out.push(path);
  if (out.length === 0) return;
  throw new FtError(
    "input",
    `${out.join(", ")} of ${folder}: ${out.length === 1 ? "a link that leads" : "links that lead"} out of the folder`,
    "put a copy there instead, or leave it here with --exclude",
  );
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
