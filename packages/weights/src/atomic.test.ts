import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { canMount, expectFtError, temporaryFolder, tinyDisk } from "../test/fixtures.ts";
import { streamFileAtomic, writeFileAtomic } from "./atomic.ts";

describe("writeFileAtomic", () => {
  it("writes text and bytes, over what was there", async () => {
    const path = join(await temporaryFolder(), "a", "b.json");
    await writeFileAtomic(path, "grüße");
    expect(await readFile(path, "utf8")).toBe("grüße");
    await writeFileAtomic(path, Uint8Array.of(1, 2, 3));
    expect([...(await readFile(path))]).toEqual([1, 2, 3]);
    expect(await readdir(join(path, ".."))).toEqual(["b.json"]);
  });

  it("shows the old content until all is written", async () => {
    const folder = await temporaryFolder();
    const path = join(folder, "x");
    await writeFile(path, "old");
    await streamFileAtomic(path, async (append) => {
      await append(Buffer.from("ne"));
      expect(await readFile(path, "utf8")).toBe("old");
      await append(Buffer.from("w"));
    });
    expect(await readFile(path, "utf8")).toBe("new");
  });

  it("leaves the old content when the writer fails", async () => {
    const folder = await temporaryFolder();
    const path = join(folder, "x");
    await writeFile(path, "old");
    const failing = streamFileAtomic(path, async (append) => {
      await append(Buffer.from("half"));
      throw new RangeError("mine");
    });
    await expect(failing).rejects.toThrow(new RangeError("mine"));
    expect(await readdir(folder)).toEqual(["x"]);
    expect(await readFile(path, "utf8")).toBe("old");
  });

  it.skipIf(!canMount)("leaves the old content when the disk is full, at whichever write", async () => {
    const path = join(await tinyDisk(), "x");
    await writeFileAtomic(path, "old");
    for (const piece of [1_000, 4_096, 70_000]) {
      const filling = streamFileAtomic(path, async (append) => {
        for (let i = 0; i < 100; i++) await append(new Uint8Array(piece));
      });
      await expectFtError(filling, "io", /ENOSPC/);
      expect(await readFile(path, "utf8")).toBe("old");
      expect(await readdir(join(path, ".."))).toEqual(["x"]);
    }
  });
});
