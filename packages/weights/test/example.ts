import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openWeights, readRows, writeSafetensors } from "@ft/weights";

const folder = await mkdtemp(join(tmpdir(), "weights-"));
await writeSafetensors(join(folder, "model.safetensors"), [
  // `data` is called when its turn comes: one tensor at a time is in memory
  { name: "embed.weight", dtype: "f32", shape: [4, 2], data: () => Float32Array.of(0, 1, 2, 3, 4, 5, 6, 7) },
  { name: "norm.weight", dtype: "bf16", shape: [2], data: () => Uint16Array.of(0x3f80, 0x4000) },
]);

await using weights = await openWeights(folder); // or a .safetensors file, an index of shards, a .gguf file
for (const { name, dtype, shape } of weights.tensors.values()) console.log(name, dtype, shape.join("×"));
// => embed.weight F32 4×2
// => norm.weight BF16 2

console.log(...(await weights.read("norm.weight", "f32"))); // converted on the way
// => 1 2
console.log(...(await readRows(weights, "embed.weight", 1, 2, "f32"))); // rows 1 and 2 only
// => 2 3 4 5
await rm(folder, { recursive: true });
