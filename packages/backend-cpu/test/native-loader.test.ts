import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it, vi } from "vitest";
import { type NativeLibrary, openFirst } from "../src/native/library.ts";
import { abi } from "../tools/compile.mjs";
import { native } from "./native-support.ts";

const folder = mkdtempSync(join(tmpdir(), "ft-loader-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const file = (name: string, bytes: Uint8Array | string): string => {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
};

/** A library of two functions and nothing else, by the compiler that built the kernels. */
function small(name: string, interfaceName: string): string {
  const path = join(folder, name);
  const source = file(
    `${name}.c`,
    `const char *ft_abi(void) { return "${interfaceName}"; } int ft_init(int n) { return n; }`,
  );
  const [command = "cc", ...args] = (process.env.CC?.trim() || "cc").split(/\s+/);
  const run = spawnSync(command, [...args, "-shared", "-fPIC", source, "-o", path], { encoding: "utf8" });
  expect(run.stderr).toBe("");
  return path;
}

/** What the loader says about one bad file that stands before the good one. */
function complaint(bad: string): string {
  const said: string[] = [];
  expect(openFirst([bad, native!.path], (message) => said.push(message))?.path).toBe(native!.path);
  expect(said).toHaveLength(1);
  expect(said[0]).toContain(bad);
  expect(said[0]).toContain(`trying ${native!.path}`);
  expect(said[0]).toContain("build it again: node ");
  return said[0]!;
}

describe.skipIf(!native)("a library that cannot be used is named and passed over", () => {
  const good = native ? readFileSync(native.path) : Buffer.alloc(0);

  it.skipIf(process.platform !== "linux")("built for another processor", () => {
    const other = Buffer.from(good);
    other.writeUInt16LE(process.arch === "arm64" ? 62 : 183, 18); // e_machine
    const [built, here] = process.arch === "arm64" ? ["x64", "arm64"] : ["arm64", process.arch];
    expect(complaint(file("arch.so", other))).toContain(
      `was built for linux on ${built}, and this is linux on ${here}`,
    );
  });

  it("built for another system", () => {
    const header = Buffer.alloc(4096);
    if (process.platform === "darwin") header.write("\x7fELF", "latin1");
    else header.writeUInt32LE(0xfeedfacf, 0);
    expect(complaint(file("system", header))).toMatch(/was built for (darwin|linux) on machine 0, and this is/);
  });

  it("cut off, at any length", () => {
    for (const length of [good.length - 1, Math.floor(good.length / 2), 5000, 100, 3, 0])
      expect(complaint(file("cut", good.subarray(0, length)))).toContain("was cut off");
  });

  it("no library at all, a folder, or gone", () => {
    expect(complaint(file("text", "#!/bin/sh\n".repeat(100)))).toContain("is not a shared library");
    expect(complaint(folder)).toContain("cannot be read (EISDIR");
    expect(complaint(join(folder, "gone"))).toContain("cannot be read (ENOENT");
  });

  it.skipIf(process.platform === "win32")("of another version, or without one of the kernels", () => {
    expect(complaint(small("old", "ft0123"))).toContain(
      `belongs to another version of this package (its interface is ft0123, not ${abi()})`,
    );
    expect(complaint(small("lacking", abi()))).toMatch(/cannot be loaded \(.*ft_/);
  });
});

describe.skipIf(!native)("FT_CPU_LIBRARY", () => {
  const loadFrom = async (path: string): Promise<NativeLibrary | undefined> => {
    vi.resetModules(); // the loader loads once
    vi.stubEnv("FT_CPU_LIBRARY", path);
    return (await import("../src/native/library.ts")).loadNative();
  };
  afterEach(() => vi.unstubAllEnvs());

  it("is used instead of what the package finds", async () => {
    const copy = file("copy", readFileSync(native!.path));
    expect((await loadFrom(copy))?.path).toBe(copy);
  });

  it("that cannot be used is an error, not something else", async () => {
    const error: unknown = await loadFrom(join(folder, "nowhere")).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "config", hint: "correct the path, or unset FT_CPU_LIBRARY" });
    expect(String(error)).toContain(`FT_CPU_LIBRARY: ${join(folder, "nowhere")} cannot be read`);
  });
});
