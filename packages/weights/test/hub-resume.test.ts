import { spawnSync } from "node:child_process";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { cachedSnapshot } from "../src/hub/cached-snapshot.ts";
import { takePart } from "../src/hub/part.ts";
import { snapshotDownload } from "../src/hub/snapshot-download.ts";
import { expectFtError, temporaryFolder } from "./fixtures.ts";
import { type HubServer, sha256, startHub } from "./hub-server.ts";
import { local, noise, someModel } from "./hub-support.ts";

const path = "model.safetensors";
const content = noise(1_000_000);
const model = someModel({ files: { [path]: content } });
const { id } = model;

const blobs = (cacheDir: string): string => join(cacheDir, "models--some-org--Some.Model-1b", "blobs");
const partPath = (cacheDir: string): string => join(blobs(cacheDir), `${sha256(content)}.incomplete`);

/** Downloads until half has come, then stops as Ctrl-C does. */
async function half(hub: HubServer, cacheDir: string): Promise<void> {
  const stop = new AbortController();
  hub.fault = ({ at }) => (at === "cdn" ? { slow: 1 } : undefined);
  const onProgress = ({ bytes }: { bytes: number }): void => {
    if (bytes >= 500_000) stop.abort(new Error("Ctrl-C"));
  };
  await expect(snapshotDownload(id, local(hub, cacheDir, { signal: stop.signal, onProgress }))).rejects.toThrow(
    "Ctrl-C",
  );
  hub.fault = () => undefined;
}

async function expectWhole(folder: string, cacheDir: string): Promise<void> {
  expect((await readFile(join(folder, path))).equals(content)).toBe(true);
  expect(await readdir(blobs(cacheDir))).toEqual([sha256(content)]);
}

describe("a cut connection", () => {
  it("goes on where it was cut, as often as it takes", async () => {
    const [hub, cacheDir] = [await startHub(model), await temporaryFolder()];
    hub.fault = ({ at }) => (at === "cdn" ? { cutAfter: 130_000 } : undefined);
    const { folder } = await snapshotDownload(id, local(hub, cacheDir));
    expect(hub.fetched.length).toBeGreaterThanOrEqual(8); // more than the retries allowed without progress
    expect(hub.fetched[1]).toMatch(/^model\.safetensors bytes=[1-9]\d*-$/);
    await expectWhole(folder, cacheDir);
  });

  it("is given up when nothing comes any more, keeping what has come", async () => {
    const [hub, cacheDir] = [await startHub(model), await temporaryFolder()];
    hub.fault = ({ at, range }) => (at !== "cdn" ? undefined : { cutAfter: range === undefined ? 400_000 : 0 });
    const options = local(hub, cacheDir, { retries: 3 });
    await expectFtError(snapshotDownload(id, options), "io", /model\.safetensors of .*goes on where it stopped/);
    expect(hub.fetched.length).toBe(1 + 3);
    const { size } = await stat(partPath(cacheDir));
    expect(size).toBeGreaterThan(0);
    expect(await cachedSnapshot(id, { cacheDir })).toBeUndefined(); // no half snapshot
    hub.fault = () => undefined;
    hub.fetched.length = 0;
    const { folder, received } = await snapshotDownload(id, local(hub, cacheDir));
    expect([hub.fetched, received]).toEqual([[`${path} bytes=${size}-`], content.length - size]);
    await expectWhole(folder, cacheDir);
  });

  it("is noticed when the server falls silent, in the head and in the body", async () => {
    const [hub, cacheDir] = [await startHub(model), await temporaryFolder()];
    let n = 0;
    hub.fault = ({ at }) => (at === "cdn" && n < 2 ? { silentAfter: n++ === 0 ? 100_000 : 0 } : undefined);
    const { folder } = await snapshotDownload(id, local(hub, cacheDir, { timeout: 150 }));
    expect(hub.fetched.length).toBe(3);
    await expectWhole(folder, cacheDir);
  });
});

describe("a stopped download", () => {
  it("goes on in the next call", async () => {
    const [hub, cacheDir] = [await startHub(model), await temporaryFolder()];
    await half(hub, cacheDir);
    const { size } = await stat(partPath(cacheDir));
    expect(size).toBeGreaterThanOrEqual(500_000);
    hub.fetched.length = 0;
    const { folder } = await snapshotDownload(id, local(hub, cacheDir));
    expect(hub.fetched).toEqual([`${path} bytes=${size}-`]);
    await expectWhole(folder, cacheDir);
  });

  it("begins anew where the server does not know ranges", async () => {
    const [hub, cacheDir] = [await startHub(model), await temporaryFolder()];
    await half(hub, cacheDir);
    hub.fault = () => ({ ignoreRange: true });
    const { folder, received } = await snapshotDownload(id, local(hub, cacheDir));
    expect(received).toBe(content.length);
    await expectWhole(folder, cacheDir);
  });

  it("begins anew once where what was left is not the beginning of the file", async () => {
    const [hub, cacheDir] = [await startHub(model), await temporaryFolder()];
    await half(hub, cacheDir);
    await writeFile(partPath(cacheDir), noise(600_000, 9));
    hub.fetched.length = 0;
    const { folder } = await snapshotDownload(id, local(hub, cacheDir));
    expect(hub.fetched).toEqual([`${path} bytes=600000-`, path]);
    await expectWhole(folder, cacheDir);
  });

  it("needs no request for a part that has all bytes", async () => {
    const [hub, cacheDir] = [await startHub(model), await temporaryFolder()];
    await half(hub, cacheDir);
    await writeFile(partPath(cacheDir), content);
    hub.fetched.length = 0;
    const { folder } = await snapshotDownload(id, local(hub, cacheDir));
    expect(hub.fetched).toEqual([]);
    await expectWhole(folder, cacheDir);
  });
});

describe("two downloads of one blob", () => {
  it("both succeed and leave one sound file", async () => {
    const [hub, cacheDir] = [await startHub(model), await temporaryFolder()];
    await half(hub, cacheDir);
    hub.fault = ({ at }) => (at === "cdn" ? { slow: 1 } : undefined);
    const both = await Promise.all([1, 2, 3].map(() => snapshotDownload(id, local(hub, cacheDir))));
    for (const { folder } of both) await expectWhole(folder, cacheDir);
  });

  it("a part is taken from a dead process and not from a living one", async () => {
    const blob = join(await temporaryFolder(), "etag");
    const mine = await takePart(blob, 100);
    await writeFile(mine.path, "0123456789");
    expect((await takePart(blob, 100)).size).toBe(0); // the first taker lives
    const { pid } = spawnSync(process.execPath, ["-e", ""]);
    const dead = mine.path.replace(`-${process.pid}-`, `-${pid}-`);
    await writeFile(dead, "01234");
    expect((await takePart(blob, 100)).size).toBe(5);
    await writeFile(dead, "01234");
    expect((await takePart(blob, 4)).size).toBe(0); // longer than the file: not a part of it
  });
});
