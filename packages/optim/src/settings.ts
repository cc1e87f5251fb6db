import { FtError } from "@ft/tensor";

/** Names and default values of what can be set, all numbers or switches. */
export type Defaults = { readonly [name: string]: number | boolean };

/** Settings with defaults filled in. Unknown names and wrong types, as they come from a config file, are errors that name the key. */
export function readSettings<T extends Defaults>(of: string, defaults: T, given: object): T {
  for (const [key, value] of Object.entries(given)) {
    const preset = defaults[key];
    if (preset === undefined)
      throw new FtError("config", `${of} has no setting "${key}"`, `it has ${Object.keys(defaults).join(", ")}`);
    if (value !== undefined && typeof value !== typeof preset)
      throw new FtError(
        "config",
        `${of}.${key} is ${JSON.stringify(value)}`,
        `give ${typeof preset === "number" ? "a number" : "true or false"}`,
      );
  }
  const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return isOverride(defaults, set) ? { ...defaults, ...set } : defaults;
}

/** True once every value given was checked against its default, as above. */
function isOverride<T extends Defaults>(defaults: T, given: object): given is Partial<T> {
  return Object.keys(given).every((key) => key in defaults);
}

/** Throws unless min <= value < below (or <= max). NaN never passes. */
export function checkRange(
  key: string,
  value: number,
  {
    min = 0,
    below = Number.POSITIVE_INFINITY,
    max = Number.POSITIVE_INFINITY,
  }: { min?: number; below?: number; max?: number } = {},
): void {
  if (value >= min && value < below && value <= max) return;
  const upper =
    below < Number.POSITIVE_INFINITY ? `, below ${below}` : max < Number.POSITIVE_INFINITY ? `, at most ${max}` : "";
  throw new FtError("config", `${key} is ${value}`, `give a number of at least ${min}${upper}`);
}
