import { type AnyOptimizer, type Defaults, optimizerDefaults, optimizers, readSettings } from "@ft/optim";
import { FtError } from "@ft/tensor";
import { type EightBitOptions, eightBit } from "./eight-bit.ts";
import { fusedAdam } from "./fused-adam.ts";

type Settings = { readonly [key: string]: unknown };
type Make = (settings: Settings) => AnyOptimizer;
/** A table by any name, and with these names for certain. */
type Table = { readonly [name: string]: Make } & {
  readonly [name in "adamw8bit" | "adam8bit" | "lion8bit" | "sgd8bit" | "rmsprop8bit"]: Make;
};

/** Settings that every optimizer of the table has beside its own. `textbook`: the order of torch, not of bitsandbytes. */
const codec = { min8bitSize: 4096, textbook: false };

/** Everything that can be set on `<of>8bit`. Centered RMSProp is not among it: codes of v and a do not keep v ≥ a². */
function defaultsOf(of: keyof typeof optimizerDefaults, own: Defaults = {}): Defaults & typeof codec {
  const { bitsandbytesOrder: _, centered: __, ...defaults }: Defaults = optimizerDefaults[of];
  return { ...defaults, ...own, ...codec };
}

/** An entry of the table: the optimizer `of`, in bitsandbytes' order unless told otherwise, inside the codec. */
function entry(
  of: keyof typeof optimizerDefaults,
  {
    own,
    more,
  }: { own?: Defaults; more?: (settings: Settings, name: string, textbook: boolean) => EightBitOptions } = {},
): Make {
  const name = `${of}8bit`;
  const ordered = "bitsandbytesOrder" in optimizerDefaults[of];
  return (given) => {
    const { min8bitSize, textbook, ...settings } = readSettings(name, defaultsOf(of, own), given);
    const options = more?.(settings, name, textbook);
    const inner = optimizers[of]!({ ...settings, ...(ordered && { bitsandbytesOrder: !textbook }) });
    return eightBit(inner, { name, min8bitSize, ...options });
  };
}

/**
 * Optimizers with 8-bit state by name, for configuration files, each in the order of operations that bitsandbytes' CUDA
 * kernels have, or with `textbook: true` in torch's. Settings are those of the optimizer itself, with min8bitSize and textbook.
 */
export const optimizers8bit: Table = {
  adamw8bit: entry("adamw", { more: (settings, _, textbook) => ({ fused: fusedAdam("adamw", settings, textbook) }) }),
  adam8bit: entry("adam", { more: (settings, _, textbook) => ({ fused: fusedAdam("adam", settings, textbook) }) }),
  lion8bit: entry("lion"),
  sgd8bit: entry("sgd", {
    own: { momentum: 0.9 },
    more(settings, name) {
      if (settings.momentum !== 0) return {};
      throw new FtError("config", `${name}.momentum is 0`, "without momentum there is no state to shrink: use sgd");
    },
  }),
  rmsprop8bit: entry("rmsprop", {
    // bitsandbytes has the signed map for every first state, and the odd place of the decay in its 8-bit kernel alone
    more: (settings) => ({ maps: { v: "dynamic" }, small: optimizers.rmsprop!(settings) }),
  }),
};
