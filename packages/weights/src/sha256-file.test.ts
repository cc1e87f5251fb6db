import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { expectFtError, temporaryFolder } from "../test/fixtures.ts";
import { sha256File } from "./sha256-file.ts";

it("is the standard's digest, of a file of several pieces too", async () => {
  const file = join(await temporaryFolder(), "x");
  await writeFile(file, "abc");
  // FIPS 180-2, appendix B
  expect(await sha256File(file)).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  await writeFile(file, Buffer.alloc(1_000_000, "a"));
  expect(await sha256File(file)).toBe("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  await writeFile(file, Buffer.alloc(3 * 2 ** 20 + 1));
  expect(await sha256File(file)).toBe("5983281b51c767c831104f52c95e4075f27e6f4fa8dd0526e3929f79176a1217");
});

it("says which file it cannot read", async () => {
  const folder = await temporaryFolder();
  await expectFtError(sha256File(join(folder, "none")), "missing", /cannot read .*none/);
  await expectFtError(sha256File(folder), "io", /EISDIR/);
});
