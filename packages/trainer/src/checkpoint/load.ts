import { join } from "node:path";
import type { OptimizerState } from "@ft/optim";
import { FtError, type Parameter, sameShape, showShape, type Tensor, tensor } from "@ft/tensor";
import { openSafetensors, verifyFolder, type WeightSource } from "@ft/weights";
import { listCheckpoints } from "./folder.ts";
import { type CheckpointMeta, compareMeta, readMeta } from "./meta.ts";
import { files } from "./save.ts";

/** What a resume found. */
export interface Restored {
  /** undefined: there is no checkpoint yet */
  readonly path: string | undefined;
  readonly meta: CheckpointMeta | undefined;
  readonly warnings: readonly string[];
}

/** The newest checkpoint that verifies, with a warning for each that does not. All damaged: code "format". */
export async function newestCheckpoint(dir: string): Promise<{ path: string | undefined; warnings: string[] }> {
  const warnings: string[] = [];
  const found = await listCheckpoints(dir);
  for (const { path } of found) {
    try {
      await verifyFolder(path);
      return { path, warnings };
    } catch (error) {
      if (!FtError.is(error) || (error.code !== "format" && error.code !== "missing")) throw error;
      warnings.push(`skipped a damaged checkpoint: ${error.message}`);
    }
  }
  if (found.length > 0)
    throw new FtError(
      "format",
      `none of the ${found.length} checkpoints in ${dir} is whole (${warnings[0]})`,
      "start a new run in another folder",
    );
  return { path: undefined, warnings: [`there is no checkpoint in ${dir} yet: starting from the beginning`] };
}

/** Brings weights and slots to the newest whole checkpoint. Nothing is changed unless all of it fits. */
export async function restore(
  dir: string,
  now: CheckpointMeta,
  parameters: ReadonlyMap<string, Parameter>,
  state: OptimizerState,
): Promise<Restored> {
  const { path, warnings } = await newestCheckpoint(dir);
  if (path === undefined) return { path, meta: undefined, warnings };
  const meta = await readMeta(join(path, files.state));
  warnings.push(...compareMeta(path, meta, now));
  const slots = await readSlots(join(path, files.optimizer), state.save());
  try {
    await loadParameters(path, parameters);
    state.load(slots);
  } catch (error) {
    for (const slot of slots.values()) slot.dispose();
    throw error;
  }
  return { path, meta, warnings };
}

/** Overwrites parameters with those of a checkpoint, such as the best one after training. Checked before the first is changed. */
export async function loadParameters(checkpoint: string, parameters: ReadonlyMap<string, Parameter>): Promise<void> {
  const path = join(checkpoint, files.parameters);
  const source = await openSafetensors(path);
  try {
    const read = [...parameters].map(([name, param]) =>
      fitting(source, name, param, () => readInto(source, name, param)),
    );
    const extra = [...source.tensors.keys()].find((name) => !parameters.has(name));
    if (extra !== undefined)
      throw new FtError("input", `${path} has "${extra}", which is not trained here`, "train the same parameters");
    const writes = [];
    for (const reader of read) writes.push(await reader());
    for (const write of writes) write();
  } finally {
    await source.close();
  }
}

async function readInto(source: WeightSource, name: string, param: Parameter): Promise<() => void> {
  const data = await source.read(name, param.dtype);
  return () => param.write(data);
}

/** Slots as the optimizer laid them out, read from a file and checked; the caller owns them. */
async function readSlots(path: string, like: ReadonlyMap<string, Tensor>): Promise<Map<string, Tensor>> {
  const slots = new Map<string, Tensor>();
  const source = await openSafetensors(path);
  try {
    const extra = [...source.tensors.keys()].find((name) => !like.has(name));
    if (extra !== undefined)
      throw new FtError(
        "input",
        `${path} has "${extra}", which this run does not keep`,
        "resume with the same optimizer",
      );
    for (const [name, own] of like) {
      const read = fitting(source, name, own, () => source.read(name, own.dtype));
      slots.set(name, tensor(own.backend, own.dtype, own.axes, own.shape, await read()));
    }
    return slots;
  } catch (error) {
    for (const slot of slots.values()) slot.dispose();
    throw error;
  } finally {
    await source.close();
  }
}

/** `read`, once the tensor in the file is known to have the shape wanted. */
function fitting<T>(source: WeightSource, name: string, want: Tensor, read: () => T): () => T {
  const info = source.tensors.get(name);
  if (info === undefined)
    throw new FtError("missing", `${source.path} has no "${name}"`, "resume with the same trainable parameters");
  if (info.host !== want.dtype || !sameShape(info.shape, want.shape))
    throw new FtError(
      "shape",
      `${source.path}: "${name}" is ${info.dtype} ${showShape(info.shape)}, here ${want.dtype} ${showShape(want.shape)}`,
      "resume with the same model, adapter and dtype",
    );
  return read;
}
