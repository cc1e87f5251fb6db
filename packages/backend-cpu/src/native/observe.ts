import { type NativeKernels, prototypes } from "./abi.ts";

/** An argument of a C kernel as JavaScript hands it over. */
export type NativeArgument = number | ArrayBufferView | null;

/** Hears of each call of a C kernel after it: its name, its arguments (which it must not change) and how long it took. */
export type NativeObserver = (kernel: string, args: readonly NativeArgument[], milliseconds: number) => void;

/** The same kernels, each call timed and reported. */
export function observed(kernels: NativeKernels, observer: NativeObserver): NativeKernels {
  const wrapped = Object.entries(kernels).map(([name, call]) => [
    name,
    (...args: NativeArgument[]) => {
      const from = performance.now();
      const result = Reflect.apply(call, undefined, args);
      observer(name, args, performance.now() - from);
      return result;
    },
  ]);
  return Object.fromEntries(wrapped);
}

/** Where a kernel's arguments stand, by C's names for them. */
export const argumentPlaces: ReadonlyMap<string, ReadonlyMap<string, number>> = new Map(
  Object.entries(prototypes).map(([kernel, prototype]) => {
    const list = prototype.slice(prototype.indexOf("(") + 1, prototype.lastIndexOf(")")).split(",");
    return [kernel, new Map(list.map((declared, i) => [/(\w+)$/.exec(declared.trim())?.[1] ?? "", i]))];
  }),
);
