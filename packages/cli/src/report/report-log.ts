import { FtError } from "@ft/tensor";
import type { Consumer } from "@ft/trainer";
import { writeReport } from "./write-report.ts";

/** Writes report.html when the run is over, however it ended. A page that cannot be written is said, and loses nothing else. */
export function reportLog(dir: string, note: (line: string) => void): Consumer {
  let begun = false;
  return {
    event() {
      begun = true;
    },
    async close() {
      // a run that was refused has changed nothing
      if (!begun) return;
      try {
        note(`report      ${await writeReport(dir, { over: true })}`);
      } catch (error) {
        if (!FtError.is(error)) throw error;
        note(`report.html was not written: ${error.message}`);
      }
    },
  };
}
