import { createHash } from "node:crypto";
import { join } from "node:path";
import type { Llama } from "@ft/models";
import { Nf4Linear } from "@ft/quant-nf4";
import { newestCheckpoint } from "@ft/trainer";
import { openSafetensors } from "@ft/weights";

/** What the quantised weights of a model are, and a fingerprint of their bytes. */
export interface CodesOf {
  /** how many weights */
  readonly size: number;
  /** dtypes of their codes */
  readonly types: readonly string[];
  readonly bytes: number;
  /** over codes and statistics of all of them */
  readonly sha256: string;
}

/** Reads every quantised weight of a model, byte for byte. */
export async function baseCodes(model: Llama): Promise<CodesOf> {
  const hash = createHash("sha256");
  const types = new Set<string>();
  let [size, bytes] = [0, 0];
  for (const linear of model.linears().values()) {
    if (!(linear instanceof Nf4Linear)) continue;
    const { codes, absmax, nestedAbsmax, offset } = linear.weight;
    for (const held of [codes, absmax, nestedAbsmax, offset]) if (held) hash.update(bytesOf(await held.read()));
    types.add(codes.dtype);
    size += 1;
    bytes += linear.bytes;
  }
  return { size, types: [...types], bytes, sha256: hash.digest("hex") };
}

/** The dtypes of the optimizer's slots in the newest checkpoint, by slot. */
export async function stateTypes(checkpoints: string): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const { path } = await newestCheckpoint(checkpoints);
  const found = new Map<string, Set<string>>();
  if (path === undefined) return found;
  await using source = await openSafetensors(join(path, "optimizer.safetensors"));
  for (const [name, { host }] of source.tensors) {
    const slot = name.slice(0, name.indexOf(":"));
    found.set(slot, (found.get(slot) ?? new Set()).add(host ?? "unknown"));
  }
  return found;
}

function bytesOf(data: ArrayBufferView): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
