import { adamw, adamwDefaults } from "./adamw/adamw.ts";
import type { AnyOptimizer } from "./optimizer.ts";
import { readSettings } from "./settings.ts";
import { sgd, sgdDefaults } from "./sgd/sgd.ts";

/** Every optimizer by name, for configuration files: settings are checked by name, type and range. */
export const optimizers: { readonly [name: string]: (settings: { readonly [key: string]: unknown }) => AnyOptimizer } =
  {
    sgd: (settings) => sgd(readSettings("sgd", sgdDefaults, settings)),
    adamw: (settings) => adamw(readSettings("adamw", adamwDefaults, settings)),
  };
