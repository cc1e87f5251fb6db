import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { ioError } from "./io-error.ts";

/** SHA-256 of a file's bytes, in hexadecimal; read as a stream. Codes "missing", "io". */
export async function sha256File(path: string): Promise<string> {
  const hash = createHash("sha256");
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) hash.update(chunk);
  } catch (error) {
    throw ioError(error, "read", path);
  }
  return hash.digest("hex");
}
