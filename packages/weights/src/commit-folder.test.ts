import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { FtError } from "@ft/tensor";
import { randomFrom } from "@ft/testing";
import { describe, expect, it } from "vitest";
import { canMount, expectFtError, temporaryFolder, tinyDisk } from "../test/fixtures.ts";
import { commitFolder, verifyFolder } from "./commit-folder.ts";

async function fill(folder: string): Promise<void> {
  await writeFile(
    join(folder, "weights.bin"),
    Uint8Array.from({ length: 5_000 }, (_, i) => i),
  );
  await writeFile(join(folder, "empty"), "");
  await mkdir(join(folder, "deep", "er"), { recursive: true });
  await writeFile(join(folder, "deep", "er", "state.json"), '{"step":1}');
}

describe("commitFolder", () => {
  it("makes the folder appear with a manifest that verifies", async () => {
    const parent = await temporaryFolder();
    const dir = join(parent, "checkpoints", "step-000001");
    const manifest = await commitFolder(dir, fill);
    expect(await readdir(join(parent, "checkpoints"))).toEqual(["step-000001"]);
    expect([...manifest.keys()].sort()).toEqual(["deep/er/state.json", "empty", "weights.bin"]);
    const sha256 = createHash("sha256").update('{"step":1}').digest("hex");
    expect(manifest.get("deep/er/state.json")).toEqual({ bytes: 10, sha256 });
    expect(await verifyFolder(dir)).toEqual(manifest);
  });

  it("does not show a folder before it is complete, nor after a failure", async () => {
    const parent = await temporaryFolder();
    const dir = join(parent, "x");
    const failing = commitFolder(dir, async (temporary) => {
      await fill(temporary);
      await expectFtError(verifyFolder(temporary), "missing", /no manifest\.json; it was never finished/);
      expect((await readdir(parent)).includes("x")).toBe(false);
      throw new RangeError("mine");
    });
    await expect(failing).rejects.toThrow(new RangeError("mine"));
    expect(await readdir(parent)).toEqual([]);
  });

  it("refuses a second writer, also one that started at the same time", async () => {
    const dir = join(await temporaryFolder(), "x");
    const both = await Promise.allSettled([commitFolder(dir, fill), commitFolder(dir, fill)]);
    expect(both.map((r) => r.status).sort()).toEqual(["fulfilled", "rejected"]);
    for (const result of both) if (result.status === "rejected") expect(result.reason.code).toBe("exists");
    const before = await verifyFolder(dir);
    await expectFtError(commitFolder(dir, fill), "exists", /is there already/);
    expect(await verifyFolder(dir)).toEqual(before);
    expect(await readdir(join(dir, ".."))).toEqual(["x"]);
  });

  it("removes what dead processes left, and nothing else", async () => {
    const parent = await temporaryFolder();
    const dead = `.x.${hostname()}.4194999.abc.partial`; // above the largest process id of Linux, 2^22
    const others = [
      `.x.${hostname()}.${process.pid}.abc.partial`,
      ".x.another-host.1.abc.partial",
      ".y.partial",
      "x.partial",
    ];
    for (const name of [dead, ...others]) await mkdir(join(parent, name));
    await commitFolder(join(parent, "x"), fill);
    expect((await readdir(parent)).sort()).toEqual(["x", ...others].sort());
  });

  it("refuses links", async () => {
    const parent = await temporaryFolder();
    const linking = commitFolder(join(parent, "x"), (temporary) => symlink("/etc/passwd", join(temporary, "a")));
    await expectFtError(linking, "input", /is neither a file nor a folder/);
    expect(await readdir(parent)).toEqual([]);
  });

  it.skipIf(!canMount)("leaves earlier folders whole when the disk is full", async () => {
    const disk = await tinyDisk();
    const first = await commitFolder(join(disk, "step-1"), fill);
    const filling = commitFolder(join(disk, "step-2"), async (temporary) => {
      await fill(temporary);
      await writeFile(join(temporary, "large"), new Uint8Array(100_000));
    });
    await expectFtError(filling, "io", /cannot write .*step-2: ENOSPC/);
    expect(await readdir(disk)).toEqual(["step-1"]);
    expect(await verifyFolder(join(disk, "step-1"))).toEqual(first);
  });
});

describe("verifyFolder", () => {
  it("finds every flipped bit and every truncation, in the files and in the manifest", async () => {
    const dir = join(await temporaryFolder(), "x");
    await commitFolder(dir, fill);
    const random = randomFrom(1);
    for (let i = 0; i < 600; i++) {
      const path = join(dir, random.pick(["weights.bin", "deep/er/state.json", "manifest.json"]));
      const whole = await readFile(path);
      if (random.chance(0.5)) await truncate(path, random.int(0, whole.length - 1));
      else {
        const flipped = Buffer.from(whole);
        const at = random.int(0, whole.length - 1);
        flipped[at] = flipped[at]! ^ (1 << random.int(0, 7));
        await writeFile(path, flipped);
      }
      const error = await verifyFolder(dir).catch((thrown: unknown) => thrown);
      const lostNewline = path.endsWith("manifest.json") && (await readFile(path)).equals(whole.subarray(0, -1));
      expect(FtError.is(error) || lostNewline, `${path}, change ${i}: ${error}`).toBe(true);
      await writeFile(path, whole);
    }
    await verifyFolder(dir);
  });

  it("finds files that are gone or are links, and ignores ones it does not know", async () => {
    const dir = join(await temporaryFolder(), "x");
    await commitFolder(dir, fill);
    await writeFile(join(dir, "note.txt"), "mine");
    await verifyFolder(dir);
    await rm(join(dir, "empty"));
    await expectFtError(verifyFolder(dir), "missing", /cannot verify .*empty/);
    await symlink("/dev/null", join(dir, "empty"));
    await expectFtError(verifyFolder(dir), "format", /empty is not a regular file/);
  });

  it.each(["../x", "/etc/passwd", "a/../../x", "a\\b", "C:x", ""])(
    "refuses the path %j in a manifest",
    async (path) => {
      const dir = await temporaryFolder();
      await writeFile(
        join(dir, "manifest.json"),
        JSON.stringify({ version: 1, files: { [path]: { bytes: 0, sha256: "" } } }),
      );
      await expectFtError(verifyFolder(dir), "format", /leads out of the folder/);
    },
  );
});
