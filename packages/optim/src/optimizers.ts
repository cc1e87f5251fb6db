import { adam, adamDefaults } from "./adam/adam.ts";
import { adamw, adamwDefaults } from "./adamw/adamw.ts";
import { lion, lionDefaults } from "./lion/lion.ts";
import type { AnyOptimizer } from "./optimizer.ts";
import { rmsprop, rmspropDefaults } from "./rmsprop/rmsprop.ts";
import { type Defaults, readSettings } from "./settings.ts";
import { sgd, sgdDefaults } from "./sgd/sgd.ts";

/** What can be set, by optimizer, each with its default. */
export const optimizerDefaults: {
  readonly [name in "sgd" | "adam" | "adamw" | "lion" | "rmsprop"]: Defaults;
} = { sgd: sgdDefaults, adam: adamDefaults, adamw: adamwDefaults, lion: lionDefaults, rmsprop: rmspropDefaults };

/** Every optimizer by name, for configuration files: settings are checked by name, type and range. */
export const optimizers: { readonly [name: string]: (settings: { readonly [key: string]: unknown }) => AnyOptimizer } =
  {
    sgd: (settings) => sgd(readSettings("sgd", sgdDefaults, settings)),
    adam: (settings) => adam(readSettings("adam", adamDefaults, settings)),
    adamw: (settings) => adamw(readSettings("adamw", adamwDefaults, settings)),
    lion: (settings) => lion(readSettings("lion", lionDefaults, settings)),
    rmsprop: (settings) => rmsprop(readSettings("rmsprop", rmspropDefaults, settings)),
  };
