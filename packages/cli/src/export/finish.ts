import { basename, join, resolve } from "node:path";
import { writeFileAtomic } from "@ft/weights";
import { type CardFacts, modelCard, type Use } from "./card.ts";
import type { ExportJob } from "./job.ts";
import { orWithdraw } from "./withdraw.ts";

/** What an export says at its end. */
export interface Finished extends Pick<CardFacts, "form" | "loader" | "checks"> {
  /** how it is used, by the path of its folder: its name in the card; the command of the first is printed */
  readonly use?: (folder: string) => readonly [Use, ...Use[]];
  /** "135 MB in 1 file" */
  readonly saved: string;
  /** of --json, beside `out` */
  readonly document: Readonly<Record<string, unknown>>;
}

/** Writes the card of an export and tells what was found. */
export async function finishExport({ opened, flags, named, hubId, io }: ExportJob, done: Finished): Promise<void> {
  const { saved, document, use, ...facts } = done;
  const card = await modelCard({
    base: named,
    adapter: opened.adapter,
    ...(hubId !== undefined && { hubId }),
    ...facts,
    ...(use && { use: use(basename(resolve(flags.out))) }),
  });
  await orWithdraw(flags.out, () => writeFileAtomic(join(flags.out, "README.md"), card));
  for (const line of facts.checks) io.note(`check       ${line}`);
  io.note(`saved       ${flags.out}; ${saved}`);
  if (use) io.print(use(flags.out)[0].command);
  io.document({ out: flags.out, ...document });
}
