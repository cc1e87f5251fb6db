import type { StoredLinear } from "@ft/nn";
import { showShape, tensor } from "@ft/tensor";
import { dynamicMap, nestedBlockSize, type QuantType4bit, type Weight4bit } from "@ft/tensor/ops";
import { Nf4Linear } from "../nf4-linear.ts";
import { blockSizes } from "../quantize/block-size.ts";
import { names4bit } from "./layout.ts";
import { parseQuantState, type QuantState } from "./quant-state.ts";
import { Stored } from "./stored.ts";
import { sameTable, storedValues } from "./tables.ts";

const again = "the file is damaged, or of a version of bitsandbytes that is not known here";

/** A 4-bit weight from its codes and statistics. Errors: "missing", "format", each with the tensor and the file. */
export async function read4bit(
  { source, name, shape, backend, bias }: StoredLinear,
  stored: QuantType4bit,
): Promise<Nf4Linear> {
  const from = new Stored(source);
  const names = names4bit(name, stored);
  const state = parseQuantState(await from.read(names.state, "u8", undefined), from.at(names.state));
  check(state, stored, shape, (what, hint) => from.error(names.state, what, hint));
  const size = shape[0] * shape[1];
  const blocks = Math.ceil(size / state.blockSize);
  const nestedBlocks = Math.ceil(blocks / nestedBlockSize);
  if (!sameTable(await from.read(names.map, "f32", 16), storedValues[stored]))
    throw from.error(names.map, `is not the table of ${stored}`, again);
  from.checkBytes(name, Math.ceil(size / 2));
  const common = { type: stored, blockSize: state.blockSize, shape, axes: ["out", "in"] } as const;
  // whatever else is read is read before codes are uploaded: an error then leaves nothing behind
  let weight: Weight4bit<"out", "in">;
  if (state.nested) {
    const nested = await from.statistics(names.nestedAbsmax, nestedBlocks);
    if (!sameTable(await from.read(names.nestedMap, "f32", 256), dynamicMap))
      throw from.error(names.nestedMap, "is not the signed dynamic map", again);
    const absmax = await from.read(names.absmax, "u8", blocks);
    weight = {
      ...common,
      codes: await from.codes(name, backend),
      absmax: tensor(backend, "u8", ["block"], [blocks], absmax, { give: true }),
      nestedAbsmax: tensor(backend, "f32", ["nested"], [nestedBlocks], nested, { give: true }),
      offset: tensor(backend, "f32", [], [], Float32Array.of(state.nested.offset), { give: true }),
    };
  } else {
    const absmax = await from.statistics(names.absmax, blocks);
    weight = {
      ...common,
      codes: await from.codes(name, backend),
      absmax: tensor(backend, "f32", ["block"], [blocks], absmax, { give: true }),
    };
  }
  return new Nf4Linear(weight, { from: state.dtype, ...(state.nested && { offset: state.nested.offset }) }, bias);
}

function check(
  state: QuantState,
  stored: QuantType4bit,
  shape: readonly number[],
  error: (what: string, hint: string) => Error,
): void {
  if (state.type !== stored) throw error(`has quant_type ${state.type}`, again);
  if (state.shape[0] !== shape[0] || state.shape[1] !== shape[1])
    throw error(`has shape ${showShape(state.shape)}`, `the model's weight is ${showShape(shape)}`);
  if (!blockSizes.includes(state.blockSize))
    throw error(`has blocksize ${state.blockSize}`, `bitsandbytes has ${blockSizes.join(", ")}`);
  if (state.nested && state.nested.blockSize !== nestedBlockSize)
    throw error(`has nested_blocksize ${state.nested.blockSize}`, `bitsandbytes has ${nestedBlockSize}`);
}
