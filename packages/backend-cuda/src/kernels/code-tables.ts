import {
  bounds8bit,
  fp4Bounds,
  fp4Values,
  type Map8bit,
  maps8bit,
  nf4Bounds,
  nf4Values,
  type QuantType4bit,
} from "@ft/tensor/ops";
import type { Address, CudaContext } from "../context.ts";

/** As codes.cuh has them: keys of one sign, and the upper 16 bits of 2^-23, which all smaller magnitudes come before. */
const keys = 2960;
const firstKey = 13312;

/** Where the tables of a 4-bit type lie: 16 values, and 15 bounds with an infinite one. */
export interface Tables4bit {
  readonly values: Address;
  readonly bounds: Address;
}
/** Where the tables of an 8-bit map lie: 256 values, 255 bounds with an infinite one, and the codes below each key. */
export interface Tables8bit {
  readonly map: Address;
  readonly bounds: Address;
  readonly keys: Address;
}

/** The tables of a 4-bit type, uploaded once: @ft/tensor's own. */
export function tables4bit(context: CudaContext, type: QuantType4bit): Tables4bit {
  return context.keep(`4-bit tables: ${type}`, () => ({
    values: uploaded(context, type === "nf4" ? nf4Values : fp4Values),
    bounds: uploaded(context, filled(type === "nf4" ? nf4Bounds : fp4Bounds, 16)),
  }));
}

/** The tables of an 8-bit map, uploaded once. */
export function tables8bit(context: CudaContext, map: Map8bit): Tables8bit {
  return context.keep(`8-bit tables: ${map}`, () => ({
    map: uploaded(context, maps8bit[map]),
    bounds: uploaded(context, filled(bounds8bit[map], 256)),
    keys: uploaded(context, keysOf(bounds8bit[map])),
  }));
}

/**
 * How many bounds lie below every value of a key, for both signs. A key is the upper half of an f32 without its sign. No
 * key may hold two bounds: one comparison more then gives the code of any value.
 */
export function keysOf(bounds: Float32Array): Uint8Array {
  const word = new Float32Array(1);
  const bits = new Uint32Array(word.buffer);
  return Uint8Array.from({ length: 2 * keys }, (_, i) => {
    const [negative, key] = [i >= keys, i % keys];
    const upper = key + firstKey - 1;
    // the least value: the smallest magnitude, or the largest with a minus
    if (negative) bits[0] = 0x80000000 + upper * 2 ** 16 + 0xffff;
    else bits[0] = key === 0 ? 0 : upper * 2 ** 16;
    const least = word[0]!;
    return bounds.reduce((count, bound) => count + (bound < least ? 1 : 0), 0);
  });
}

function filled(bounds: Float32Array, length: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => bounds[i] ?? Number.POSITIVE_INFINITY);
}

function uploaded(context: CudaContext, table: Float32Array | Uint8Array): Address {
  const address = context.reserve(table.byteLength);
  context.upload(address, table);
  return address;
}
