import { bytesPerElement, dataOf, sizeOf } from "@ft/tensor";
import { awaySlot } from "./away.ts";
import type { SlotPlace } from "./placement.ts";

/** Slots in host memory, as typed arrays. */
export function hostPlace(): SlotPlace {
  return {
    resident: false,
    hold(backend, spec) {
      const values = dataOf[spec.dtype](new ArrayBuffer(sizeOf(spec.shape) * bytesPerElement[spec.dtype]));
      return awaySlot(backend, spec, {
        read: async ({ start, count }, use) => use(values.subarray(start, start + count)),
        write: async ({ start }, data) => values.set(data, start),
      });
    },
    reserve() {},
    dispose() {},
  };
}
