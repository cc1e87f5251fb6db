import type { StoredLinear } from "@ft/nn";
import { fromPieces, sameShape, showShape, tensor } from "@ft/tensor";
import { Int8Linear } from "../int8-linear.ts";
import { namesInt8 } from "./layout.ts";
import { Stored } from "./stored.ts";

/** An int8 weight from its codes and the absmax of its rows. Errors: "missing", "format", each with the tensor and the file. */
export async function readInt8({ source, name, shape, backend, bias }: StoredLinear): Promise<Int8Linear> {
  const from = new Stored(source);
  const names = namesInt8(name);
  const stored = source.tensors.get(name)?.shape ?? [];
  if (!sameShape(stored, shape))
    throw from.error(name, `is ${showShape(stored)}`, `the model's weight is ${showShape(shape)}`);
  // bitsandbytes once stored codes tiled for its kernels; 0 stands for rows
  if (from.has(names.format) && (await from.read(names.format, "u8", 1))[0] !== 0)
    throw from.error(
      names.format,
      "is not 0",
      "codes that are not in rows are not read: save them with a later bitsandbytes",
    );
  const absmax = await from.statistics(names.absmax, shape[0]);
  const read = (start: number, count: number) => source.readWindow(name, start, count, "i8");
  const weight = {
    codes: await fromPieces(backend, { dtype: "i8", axes: ["out", "in"], shape }, read),
    absmax: tensor(backend, "f32", ["out"], [shape[0]], absmax, { give: true }),
  };
  return new Int8Linear(weight, bias);
}
