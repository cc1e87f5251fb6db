import { bytesPerElement, type DataOf, type DType, dataOf, FtError, sizeOf } from "@ft/tensor";
import { awaySlot } from "./away.ts";
import type { SlotPlace } from "./placement.ts";

/** Slots in host memory, as typed arrays. */
export function hostPlace(): SlotPlace {
  const held: DataOf[DType][] = [];
  const valuesOf = (slot: number): DataOf[DType] => {
    const values = held[slot];
    if (values) return values;
    throw new FtError("disposed", "[optimizer] slots in host memory are used after dispose", "dispose the state last");
  };
  return {
    resident: false,
    hold(backend, spec) {
      const bytes = sizeOf(spec.shape) * bytesPerElement[spec.dtype];
      const slot = held.push(dataOf[spec.dtype](new ArrayBuffer(bytes))) - 1;
      return awaySlot(backend, spec, {
        read: async ({ start, count }, use) => use(valuesOf(slot).subarray(start, start + count)),
        write: async ({ start }, data) => valuesOf(slot).set(data, start),
      });
    },
    reserve() {},
    dispose() {
      held.length = 0;
    },
  };
}
