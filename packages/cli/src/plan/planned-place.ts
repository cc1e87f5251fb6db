import { plannedArray } from "@ft/backend-plan";
import { awaySlot, type SlotPlace } from "@ft/optim";
import { bytesOf } from "@ft/tensor";

/** A place off the backend that keeps nothing of its slots and adds up how large they are. */
export interface PlannedPlace extends SlotPlace {
  /** bytes of all slots */
  readonly bytes: number;
  /** bytes of the largest stretch that was asked for at once */
  readonly staging: number;
}

/** Stands for host memory or a file: slots come to the backend and go back as they do there. */
export function plannedPlace(): PlannedPlace {
  let bytes = 0;
  let staging = 0;
  return {
    get bytes() {
      return bytes;
    },
    get staging() {
      return staging;
    },
    resident: false,
    hold(backend, spec) {
      bytes += bytesOf(spec);
      return awaySlot(backend, spec, {
        async read({ count }, use) {
          const part = { dtype: spec.dtype, shape: [count] };
          staging = Math.max(staging, bytesOf(part));
          return use(plannedArray(part));
        },
        write: async () => {},
      });
    },
    reserve() {},
    dispose() {},
  };
}
