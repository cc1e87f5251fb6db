import { FtError } from "@ft/tensor";
import koffi from "koffi";
import { at, type KernelArgument } from "../context.ts";

/** parameters of a kernel at most */
const slots = 160;

/**
 * Packs the arguments of a launch the way the driver takes them: an array of the addresses of the values. Values and
 * addresses lie in two buffers that are used again and again, so that a launch allocates nothing.
 */
export interface Parameters {
  /** what goes to the driver */
  readonly pointers: BigUint64Array;
  /** where `pointers` lies, for structures that hold it */
  readonly address: bigint;
  /** the values, eight bytes each */
  readonly values: DataView;
  /** Writes values by the parameter types of a kernel, as PTX names them. */
  pack(kernel: string, types: readonly string[], values: readonly KernelArgument[]): void;
}

export function createParameters(): Parameters {
  const bytes = new Uint8Array(new ArrayBuffer(slots * 8));
  const view = new DataView(bytes.buffer);
  const first = BigInt(koffi.address(bytes));
  const pointers = new BigUint64Array(new ArrayBuffer(slots * 8));
  for (let i = 0; i < slots; i++) pointers[i] = first + BigInt(8 * i);
  const fail = (kernel: string, message: string): never => {
    throw new FtError("input", `[cuda] ${kernel}: ${message}`, "compare the launch with the kernel's parameters");
  };
  return {
    pointers,
    address: BigInt(koffi.address(pointers)),
    values: view,
    pack(kernel, types, values) {
      if (types.length !== values.length || types.length > slots)
        fail(kernel, `${values.length} arguments for ${types.length} parameters`);
      for (let i = 0; i < values.length; i++) {
        const value = values[i];
        const type = types[i];
        if (typeof value === "number") {
          if (type === "f32") view.setFloat32(8 * i, value, true);
          else if (type === "u32") view.setInt32(8 * i, value, true);
          else if (type === "f64") view.setFloat64(8 * i, value, true);
          // a 64-bit integer: numbers are exact to 2^53
          else view.setBigInt64(8 * i, BigInt(value), true);
        } else if (type !== "u64") fail(kernel, `parameter ${i} is a ${type}, its argument a pointer`);
        else view.setBigUint64(8 * i, value === undefined ? 0n : typeof value === "bigint" ? value : at(value), true);
      }
    },
  };
}
