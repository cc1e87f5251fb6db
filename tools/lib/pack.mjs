// The packages as npm would get them.
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { run } from "./process.mjs";
import { workspace } from "./workspace.mjs";

/**
 * Packs every package that is published into `dir`; they must be built.
 * @param {string} dir
 * @returns {Promise<{name: string, tarball: string}[]>}
 */
export async function packAll(dir) {
  const published = workspace().filter((one) => one.manifest.private !== true);
  const filters = published.flatMap((one) => ["--filter", one.name]);
  const { code, output } = await run("pnpm", [...filters, "-r", "pack", "--pack-destination", dir]);
  if (code !== 0) throw new Error(`pnpm pack failed\n${output}`);
  return published.map(({ name, manifest }) => ({
    name,
    tarball: join(dir, `${name.replace("@", "").replace("/", "-")}-${manifest.version}.tgz`),
  }));
}

/** Path to text of the files in a .tgz (ustar). */
export function readTarball(data) {
  const tar = gunzipSync(data);
  const text = (from, length) => tar.toString("utf8", from, from + length).replace(/\0.*$/s, "");
  const files = new Map();
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0; ) {
    const size = Number.parseInt(text(at + 124, 12), 8) || 0;
    const prefix = text(at + 345, 155);
    files.set((prefix && `${prefix}/`) + text(at, 100), tar.toString("utf8", at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}
