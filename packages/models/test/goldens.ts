import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openSafetensors } from "@ft/weights";
import { type HostBatch, type Llama, uploadBatch } from "../src/index.ts";

/** A folder of tools/goldens/data. */
export function goldenFolder(name: string): string {
  return fileURLToPath(new URL(`../../../tools/goldens/data/${name}`, import.meta.url));
}

/** golden.json of a folder; its layout is described in tools/goldens/README.md. */
export function goldenJson(name: string): any {
  return JSON.parse(readFileSync(`${goldenFolder(name)}/golden.json`, "utf8"));
}

/** Every tensor of golden.safetensors. */
export async function goldenTensors(name: string): Promise<Map<string, Float32Array>> {
  await using source = await openSafetensors(`${goldenFolder(name)}/golden.safetensors`);
  const tensors = new Map<string, Float32Array>();
  for (const key of source.tensors.keys()) tensors.set(key, await source.read(key, "f32"));
  return tensors;
}

/** A batch of golden.json as typed arrays. */
export function goldenBatch(json: Record<string, any>): HostBatch & { targetTokens: number } {
  const ids = (key: string): Int32Array<ArrayBuffer> => Int32Array.from(json[key]);
  return {
    batch: json.batch,
    seq: json.seq,
    targetTokens: json.targetTokens,
    tokens: ids("tokens"),
    targets: ids("targets"),
    positions: ids("positions"),
    segments: ids("segments"),
  };
}

/** Logits of the places that are not padding, row by row: what the golden files hold. */
export async function realLogits(model: Llama, host: HostBatch): Promise<number[]> {
  const { vocabSize } = model.config;
  using logits = model.logits(uploadBatch(model.backend, host, vocabSize));
  const values = await logits.read();
  const row = (i: number): Iterable<number> => values.subarray(i * vocabSize, (i + 1) * vocabSize);
  return [...host.segments].flatMap((segment, i) => (segment === 0 ? [] : [...row(i)]));
}
