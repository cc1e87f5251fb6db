import type * as files from "node:fs/promises";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { uploadFiles } from "../src/hub/upload-files.ts";
import { temporaryFolder } from "./fixtures.ts";
import { startPushHub } from "./hub-push-server.ts";
import { id, to } from "./hub-push-support.ts";

/** Files that are open now, and the most that ever were. */
const opened = vi.hoisted(() => ({ now: 0, most: 0 }));
vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof files>();
  const open: typeof files.open = async (...given) => {
    opened.most = Math.max(opened.most, ++opened.now);
    const handle = await real.open(...given);
    const close = handle.close.bind(handle);
    handle.close = () => close().finally(() => opened.now--);
    return handle;
  };
  return { ...real, open };
});

it("has few of many files open at a time, since a process may have few", async () => {
  const [hub, folder] = [await startPushHub(), await temporaryFolder()];
  const { writeFile } = await import("node:fs/promises");
  const given = Array.from({ length: 300 }, (_, i) => ({ path: `${i}.txt`, content: join(folder, `${i}.txt`) }));
  for (const { path, content } of given) await writeFile(content, path);
  opened.most = 0;
  const { changed } = await uploadFiles(id, given, to(hub));
  expect(changed).toEqual(given.map(({ path }) => path));
  expect(opened.now).toBe(0);
  expect(opened.most).toBeGreaterThan(1); // the files did go through here
  expect(opened.most).toBeLessThanOrEqual(16);
});
