import { defineConfig, type Options } from "tsup";

/**
 * One build for every package: ESM for Node 20, with `.d.ts` files.
 * Declarations say their types outright (isolatedDeclarations), so writing them needs no type check; `npm run types` does that
 * once for everything, and the build takes half the time.
 * FT_BUILD_TYPES=0 leaves the `.d.ts` files out: running needs none, and they are most of the time of a build.
 */
export function library(entry: Options["entry"], types: Options["entry"] = entry): ReturnType<typeof defineConfig> {
  return defineConfig({
    entry: entry ?? [],
    format: "esm",
    target: "es2022",
    dts:
      process.env.FT_BUILD_TYPES === "0" || types === undefined
        ? false
        : { entry: types, compilerOptions: { noCheck: true } },
    clean: true,
    silent: true,
  });
}
