import { createHash } from "node:crypto";
import type { LinearHost } from "@ft/nn";
import { cast } from "@ft/tensor/ops";

/**
 * A SHA-256 by which an adapter finds the base it was trained over: of the norms' weights in f32, by name. Quantising leaves
 * norms alone, so a base has one fingerprint in 16 bits, in NF4 and as GGUF; a model that was trained further has another.
 */
export async function baseFingerprint(host: LinearHost): Promise<string> {
  const hash = createHash("sha256");
  const norms = [...host.parameters()].filter(([name, { shape }]) => shape.length === 1 && name.endsWith(".weight"));
  for (const [name, norm] of norms.sort(([a], [b]) => (a < b ? -1 : 1))) {
    using wide = cast(norm, "f32");
    const values = await wide.read();
    hash.update(`${name}\n`).update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  return hash.digest("hex");
}
