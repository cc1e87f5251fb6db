import { readFile } from "node:fs/promises";
import { FtError } from "@ft/tensor";

/** The lines of a text file; a line break at its end begins no other. */
export async function readTextLines(file: string): Promise<readonly string[]> {
  const text = await readFile(file, "utf8").catch((cause: unknown) => {
    throw new FtError("missing", `${file} cannot be read`, "give a text file with one answer a line", { cause });
  });
  const lines = text.replace(/^\ufeff/, "").split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  if (lines.length === 0) throw new FtError("data", `${file}: is empty`, "write one answer a line");
  return lines;
}

/** Several files of which line i belongs together. Errors: "input" where one has another number of lines than the first. */
export async function readParallel(files: readonly string[]): Promise<readonly (readonly string[])[]> {
  const all = await Promise.all(files.map(readTextLines));
  const [first = []] = all;
  for (const [i, lines] of all.entries())
    if (lines.length !== first.length)
      throw new FtError(
        "input",
        `${files[i]} has ${lines.length} lines, ${files[0]} has ${first.length}`,
        "line i of each file belongs to row i: give them as many lines, empty ones where there is no answer",
      );
  return all;
}
