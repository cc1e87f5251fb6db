import { FtError } from "@ft/tensor";
import { devicePlace } from "./device.ts";
import { filePlace } from "./file.ts";
import { hostPlace } from "./host.ts";
import type { Placement, SlotPlace } from "./placement.ts";

/** The place that a placement names; code "config" for what is none. */
export function placeOf(placement: Placement): SlotPlace {
  if (placement === "device") return devicePlace();
  if (placement === "host") return hostPlace();
  if (typeof placement === "object" && placement !== null) {
    if ("hold" in placement) return placement;
    if (typeof placement.file === "string") return filePlace(placement.file);
  }
  throw new FtError(
    "config",
    `optimizer placement ${JSON.stringify(placement)}`,
    'give "device", "host" or { file: folder }',
  );
}
