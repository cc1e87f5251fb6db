import { join } from "node:path";
import type { OptimizerState, SavedSlot } from "@ft/optim";
import {
  type DataOf,
  type DType,
  FtError,
  type Parameter,
  type Spec,
  sameShape,
  showShape,
  windowElements,
  windowOf,
} from "@ft/tensor";
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

/** Brings weights and slots to the newest whole checkpoint, piece by piece. Nothing is changed unless all of it fits. */
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
  const source = await openSafetensors(join(path, files.optimizer));
  try {
    const slots = savedSlots(source, state.save());
    await loadParameters(path, parameters);
    await state.load(slots);
  } finally {
    await source.close();
  }
  return { path, meta, warnings };
}

/** Overwrites parameters with those of a checkpoint, such as the best one after training. Checked before the first is changed. */
export async function loadParameters(checkpoint: string, parameters: ReadonlyMap<string, Parameter>): Promise<void> {
  const path = join(checkpoint, files.parameters);
  const source = await openSafetensors(path);
  try {
    for (const [name, param] of parameters) checkFit(source, name, param);
    const extra = [...source.tensors.keys()].find((name) => !parameters.has(name));
    if (extra !== undefined)
      throw new FtError("input", `${path} has "${extra}", which is not trained here`, "train the same parameters");
    for (const [name, param] of parameters) await readInto(source, name, param);
  } finally {
    await source.close();
  }
}

/** In windows where the backend has them, so that no whole copy is in memory beside the parameter. */
async function readInto(source: WeightSource, name: string, param: Parameter): Promise<void> {
  let start = 0;
  for await (const data of filePieces(source, name, param.dtype)) {
    const whole = data.length === source.tensors.get(name)?.size;
    const window = whole ? undefined : windowOf(param, start, data.length);
    if (window === undefined) {
      param.write(whole ? data : await source.read(name, param.dtype));
      return;
    }
    param.backend.write(window.view.storage.buffer, window.view, data);
    window.dispose();
    start += data.length;
  }
}

async function* filePieces<D extends DType>(source: WeightSource, name: string, dtype: D): AsyncGenerator<DataOf[D]> {
  const size = source.tensors.get(name)?.size ?? 0;
  for (let start = 0; start < size; start += windowElements)
    yield await source.readWindow(name, start, Math.min(windowElements, size - start), dtype);
}

/** Slots in a file, to be read later; checked against those that the optimizer laid out. */
function savedSlots(source: WeightSource, like: ReadonlyMap<string, SavedSlot>): Map<string, SavedSlot> {
  const extra = [...source.tensors.keys()].find((name) => !like.has(name));
  if (extra !== undefined)
    throw new FtError(
      "input",
      `${source.path} has "${extra}", which this run does not keep`,
      "resume with the same optimizer",
    );
  const slots = new Map<string, SavedSlot>();
  for (const [name, { dtype, shape, axes }] of like) {
    checkFit(source, name, { dtype, shape });
    slots.set(name, {
      ...{ dtype, shape, axes },
      read: () => source.read(name, dtype),
      pieces: () => filePieces(source, name, dtype),
    });
  }
  return slots;
}

/** Throws unless the file has this tensor in this dtype and shape. */
function checkFit(source: WeightSource, name: string, want: Spec): void {
  const info = source.tensors.get(name);
  if (info === undefined)
    throw new FtError("missing", `${source.path} has no "${name}"`, "resume with the same trainable parameters");
  if (info.host !== want.dtype || !sameShape(info.shape, want.shape))
    throw new FtError(
      "shape",
      `${source.path}: "${name}" is ${info.dtype} ${showShape(info.shape)}, here ${want.dtype} ${showShape(want.shape)}`,
      "resume with the same model, adapter and dtype",
    );
}
