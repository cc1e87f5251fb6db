import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { prototypes } from "../src/native/abi.ts";
import { levels } from "../src/native/library.ts";
import { buildNative } from "../tools/build-native.mjs";
import { libraryName } from "../tools/compile.mjs";
import { native } from "./native-support.ts";

const temporary = mkdtempSync(join(tmpdir(), "ft-build-test-"));
afterAll(() => rmSync(temporary, { recursive: true, force: true }));

describe("the build step", () => {
  it("without a compiler warns once and succeeds", async () => {
    const built = await buildNative({ env: { PATH: temporary }, out: join(temporary, "none") });
    expect(built.status).toBe("no-compiler");
    expect(built.message).toContain("no C compiler found (tried cc, gcc, clang, zig cc)");
    const script = fileURLToPath(new URL("../tools/build-native.mjs", import.meta.url));
    const run = spawnSync(process.execPath, [script], { env: { PATH: temporary }, encoding: "utf8" });
    expect([run.status, run.stdout]).toEqual([0, ""]);
    expect(run.stderr.trim().split("\n")).toHaveLength(1);
  });

  it("names the compiler it was told to use and did not find", async () => {
    const built = await buildNative({ env: { CC: "no-such-compiler" }, out: join(temporary, "none") });
    expect(built.message).toContain("CC=no-such-compiler");
  });

  it.skipIf(!native)("reports what a failing compiler says and leaves no library", async () => {
    const out = join(temporary, "failed");
    const built = await buildNative({ env: { ...process.env, CFLAGS: "-no-such-flag-at-all" }, out });
    expect(built.status).toBe("failed");
    expect(built.message).toContain("no-such-flag-at-all");
    expect(readdirSync(out)).toEqual([]);
  });

  it.skipIf(!native)("builds one file and its stamp, and builds again only when something changed", async () => {
    const out = join(temporary, "built");
    const env = { ...process.env, CFLAGS: "-O0" };
    expect((await buildNative({ env, out })).status).toBe("built");
    expect(readdirSync(out).sort()).toEqual([libraryName(), `${libraryName()}.stamp`]);
    expect((await buildNative({ env, out })).status).toBe("current");
    expect((await buildNative({ env: { ...env, CFLAGS: "-O0 -DOTHER" }, out })).status).toBe("built");
  });
});

describe("the C interface", () => {
  it("is declared alike in kernels/ft.h and in the loader", () => {
    const header = readFileSync(new URL("../kernels/ft.h", import.meta.url), "utf8").replace(/\/\*[\s\S]*?\*\//g, "");
    const declared = [...header.matchAll(/FT_KERNEL\((\w+),\s*ft_(\w+),\s*\(([^)]*)\)/g)].map(
      ([, result, name, parameters]) => [name, `${result} ft_${name}(${parameters!.replace(/\s+/g, " ")})`],
    );
    expect(declared.length).toBeGreaterThan(20);
    expect(Object.fromEntries(declared)).toEqual(prototypes);
  });

  it.skipIf(!native)("sets threads and instruction set, and survives a shutdown", () => {
    const library = native!;
    const x = new Float32Array(200_000).fill(1);
    for (const threads of [3, 1, 2]) {
      expect(library.setThreads(threads)).toBe(threads);
      expect(library.kernels.sumsq_f64(x, x.length)).toBe(200_000);
    }
    library.shutdown();
    expect(library.threads()).toBe(1);
    expect(library.kernels.sumsq_f64(x, x.length)).toBe(200_000);
    expect(library.setThreads(0)).toBe(1);
    expect(library.setThreads(2)).toBe(2);
    expect(library.kernels.sumsq_f64(x, x.length)).toBe(200_000);
    expect(library.select(levels[0])).toBe(levels[0]);
    expect(library.level()).toBe(levels[0]);
    library.select("best");
  });

  it.skipIf(!native)("may be called from two threads of Node at once", () => {
    const code = `
      import { Worker, isMainThread, workerData } from "node:worker_threads";
      import koffi from ${JSON.stringify(import.meta.resolve("koffi"))};
      const lib = koffi.load(${JSON.stringify(native!.path)});
      const init = lib.func("int ft_init(int)");
      const gemm = lib.func(${JSON.stringify(prototypes.gemm_f32)});
      const n = 200, a = new Float32Array(n * n).map((_, i) => (i * 7919 % 1000) / 1000), seen = new Set();
      if (isMainThread) { init(2); for (let i = 0; i < 2; i++) new Worker(new URL(import.meta.url)); }
      for (let i = 0; i < 200; i++) {
        const c = new Float32Array(n * n);
        gemm(n, n, n, a, n, 0, a, n, 1, c, n, 1, 0);
        seen.add(Buffer.from(c.buffer).toString("latin1"));
      }
      if (seen.size !== 1) process.exitCode = 3;`;
    const file = join(temporary, "two-threads.mjs");
    writeFileSync(file, code);
    const run = spawnSync(process.execPath, [file], { encoding: "utf8", timeout: 50_000 });
    expect([run.status, run.stderr]).toEqual([0, ""]);
  });
});
