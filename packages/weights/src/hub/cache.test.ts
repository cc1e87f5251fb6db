import { lstat, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { expectFtError, temporaryFolder } from "../../test/fixtures.ts";
import { checkSpace, type LinkKind, linkBlob, repoCache } from "./cache.ts";

describe("linkBlob", () => {
  const kinds: readonly LinkKind[] = ["symlink", "hard link", "copy"];

  it.each(kinds)("puts the blob's bytes in place by a %s, whatever is there", async (kind) => {
    const cache = repoCache(await temporaryFolder(), "a/b");
    await mkdir(join(cache.folder, "blobs"), { recursive: true });
    const [blob, place] = [cache.blob("etag"), cache.file("c", "sub/x.json")];
    await writeFile(blob, "content");
    await linkBlob(blob, place, [kind]);
    await linkBlob(blob, place, [kind]); // what was there is replaced
    expect(await readFile(place, "utf8")).toBe("content");
    const [at, from] = [await lstat(place), await lstat(blob)];
    expect([at.isSymbolicLink(), at.ino === from.ino]).toEqual([kind === "symlink", kind === "hard link"]);
    // a moved cache still works
    await rename(cache.folder, `${cache.folder}-moved`);
    expect(await readFile(place.replace(cache.folder, `${cache.folder}-moved`), "utf8")).toBe("content");
  });

  it("says which place it could not write", async () => {
    const cache = repoCache(await temporaryFolder(), "a/b");
    await expectFtError(linkBlob(cache.blob("none"), cache.file("c", "x")), "missing", /cannot write .*snapshots/);
  });
});

describe("checkSpace", () => {
  it("looks at the disk of a folder that is still to be made", async () => {
    const folder = join(await temporaryFolder(), "not", "made");
    await checkSpace(folder, 1, "it");
    await expectFtError(
      checkSpace(folder, 2 ** 52, "it"),
      "io",
      /it needs 4503\.6 TB more and .* are free in .*HF_HUB_CACHE/,
    );
  });
});
