import { readFile } from "node:fs/promises";
import { FtError } from "@ft/tensor";
import { ioError } from "./io-error.ts";

/** Reads a JSON file that stands beside weights. Code "missing" or "io" when it cannot be read, "format" when it is not JSON. */
export async function readJsonFile(path: string): Promise<unknown> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw ioError(error, "read", path);
  });
  try {
    return JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FtError("format", `${path} is not JSON (${reason})`, "restore the file from where it came", { cause });
  }
}
