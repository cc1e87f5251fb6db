import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { readManifest } from "../src/launch/kernel-library.ts";

const script = fileURLToPath(new URL("../tools/build-kernels.mjs", import.meta.url));

describe("kernels/built", () => {
  it("was made from the sources that are here", () => {
    expect(readManifest().source, "run: node packages/backend-cuda/tools/build-kernels.mjs").toBe(
      execFileSync(process.execPath, [script, "--hash"], { encoding: "utf8" }).trim(),
    );
  });

  it("has code of every family for every architecture", () => {
    const families = new Set(Object.values(readManifest().kernels).map(([family]) => family));
    expect(families.size).toBeGreaterThan(5);
    for (const family of families)
      for (const file of ["sm_80.cubin", "sm_90a.cubin", "sm_100a.cubin", "sm_120a.cubin", "compute_80.ptx"])
        expect(existsSync(new URL(`../kernels/built/${family}.${file}.gz`, import.meta.url)), `${family}.${file}`).toBe(
          true,
        );
  });
});
