import { FtError } from "@ft/tensor";
import type { Io } from "../io.ts";
import { writeReport } from "../report/write-report.ts";

export interface ReportFlags {
  /** folder of an evaluation */
  readonly eval?: string;
  readonly out?: string;
}

/** `ft report`: the page of a run, written again, with an evaluation where there is one. */
export async function reportCommand(run: string, flags: ReportFlags, io: Io): Promise<void> {
  if (flags.out !== undefined && !/\.html?$/i.test(flags.out))
    throw new FtError("config", `--out ${flags.out} is no page`, "name it .html");
  const report = await writeReport(run, { evaluation: flags.eval, out: flags.out });
  io.print(report);
  io.document({ run, report });
}
