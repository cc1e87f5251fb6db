import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { globalNorm, type SavedSlot } from "@ft/optim";
import { FtError, type Parameter, readPieces, type Spec } from "@ft/tensor";
import { commitFolder, type WeightEntry, writeSafetensors } from "@ft/weights";
import { checkpointPath, listCheckpoints, removeCheckpoint } from "./folder.ts";
import type { CheckpointMeta } from "./meta.ts";

export const files = {
  parameters: "parameters.safetensors",
  optimizer: "optimizer.safetensors",
  state: "state.json",
} as const;

/**
 * Writes a checkpoint, all of it or nothing, and returns its folder. Weights that are not finite are refused (code
 * "numeric"): a checkpoint is always a state to go on from.
 */
export async function saveCheckpoint(
  dir: string,
  meta: CheckpointMeta,
  parameters: ReadonlyMap<string, Parameter>,
  slots: ReadonlyMap<string, SavedSlot>,
): Promise<string> {
  const { step } = meta.state;
  const { nonFinite } = await globalNorm(parameters);
  if (nonFinite.length > 0)
    throw new FtError(
      "numeric",
      `after step ${step} the weights ${nonFinite.slice(0, 3).join(", ")} are not finite; nothing was saved`,
      `lower the learning rate and ${(await listCheckpoints(dir)).length > 0 ? "resume from the last checkpoint" : "begin anew"}`,
    );
  // Only a damaged folder can be here: resuming takes the newest whole one, and a run never saves a step twice.
  const stale = (await listCheckpoints(dir)).find((found) => found.step === step);
  if (stale) await removeCheckpoint(stale.path);
  const path = checkpointPath(dir, step);
  await commitFolder(path, async (folder) => {
    const weights = [...parameters].map(([name, x]) => entry(name, x, () => readPieces(x)));
    await writeSafetensors(join(folder, files.parameters), weights);
    const state = [...slots].map(([name, x]) => entry(name, x, () => x.pieces?.() ?? x.read()));
    await writeSafetensors(join(folder, files.optimizer), state);
    await writeFile(join(folder, files.state), `${JSON.stringify(meta, null, 2)}\n`);
  });
  return path;
}

function entry(name: string, { dtype, shape }: Spec, data: WeightEntry["data"]): WeightEntry {
  return { name, dtype, shape, data };
}
