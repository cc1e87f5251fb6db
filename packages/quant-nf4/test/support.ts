import { createHash } from "node:crypto";
import { createCpuBackend } from "@ft/backend-cpu";
import { type Backend, type DataOf, type DType, type FloatDType, FtError, type Tensor } from "@ft/tensor";
import { openSafetensors, type WeightSource } from "@ft/weights";
import { goldenFolder, goldenJson } from "../../models/test/goldens.ts";
import type { HeldDType, HostWeight } from "../src/index.ts";

/** Inputs, codes and statistics of bitsandbytes on a GPU, and digests of what it decodes; see tools/goldens/README.md. */
export const goldens: {
  readonly inputs: WeightSource;
  readonly quant: WeightSource;
  readonly json: any;
} = {
  inputs: await openSafetensors(`${goldenFolder("bnb")}/inputs.safetensors`),
  quant: await openSafetensors(`${goldenFolder("bnb")}/quant.safetensors`),
  json: goldenJson("bnb"),
};

/** The C kernels, and the references in primitives: what is exact must be so on both. */
export const backends: readonly (readonly [string, () => Promise<Backend>])[] = [
  ["C kernels", () => createCpuBackend()],
  ["reference loops", () => createCpuBackend({ native: false })],
];

/** Values as a weight of `rows` rows. */
export function held(name: string, dtype: HeldDType, data: DataOf[HeldDType], rows = 1): HostWeight {
  return {
    name,
    shape: [rows, data.length / rows],
    dtype,
    read: async (start, count) => data.slice(start, start + count),
  };
}

/** A golden input, or the first `count` values of one. */
export async function input(name: string, count?: number): Promise<[HeldDType, DataOf[HeldDType]]> {
  const dtype = name.split(".").at(-1);
  if (dtype !== "f32" && dtype !== "bf16" && dtype !== "f16")
    throw new FtError("input", `golden input ${name}`, "its name ends with a dtype");
  const size = count ?? goldens.inputs.tensors.get(name)?.size ?? 0;
  return [dtype, await goldens.inputs.readWindow(name, 0, size, dtype)];
}

/** The bytes of a host array. */
export function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView<ArrayBuffer>): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

export function digest(data: ArrayBufferView<ArrayBuffer>): string {
  return createHash("sha256").update(bytesOf(data)).digest("hex");
}

/** The values of a tensor, which is disposed. */
export async function take<D extends DType>(x: Tensor<D>): Promise<DataOf[D]> {
  const data = await x.read();
  x.dispose();
  return data;
}

/** Throws, with the first element, unless two arrays are the same bytes. */
export function expectBytes(got: DataOf[DType], want: DataOf[DType], what: string): void {
  const [a, b] = [bytesOf(got), bytesOf(want)];
  if (Buffer.from(a).equals(b)) return;
  const width = got.BYTES_PER_ELEMENT;
  const at = Math.floor(a.findIndex((byte, i) => byte !== b[i]) / width);
  let wrong = 0;
  for (let i = 0; i < want.length; i++) wrong += Number(!Object.is(got[i], want[i]));
  throw new FtError(
    "numeric",
    `${what}: ${wrong} of ${want.length} differ, the first at ${at}: ${got[at]}, wanted ${want[at]}`,
    "they should be the same bytes",
  );
}

/** The float dtypes that bitsandbytes decodes to. */
export const dtypes: readonly Exclude<FloatDType, "f64">[] = ["f32", "bf16", "f16"];
