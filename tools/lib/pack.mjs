// The packages as npm would get them.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { platformPackages } from "./platforms.mjs";
import { root, run } from "./process.mjs";
import { workspace } from "./workspace.mjs";

/** For a pnpm that packs or publishes: @ft/backend-cpu then names the platform packages, if they are built. */
export const packEnv = { npm_config_pnpmfile: join(root, "tools", "lib", "pack-hooks.cjs") };

const tarballOf = (dir, name, version) => join(dir, `${name.replace("@", "").replace("/", "-")}-${version}.tgz`);

/**
 * Packs every package that is published into `dir`; they must be built.
 * @param {string} dir
 * @returns {Promise<{name: string, tarball: string}[]>}
 */
export async function packAll(dir) {
  const published = workspace().filter((one) => one.manifest.private !== true);
  const filters = published.flatMap((one) => ["--filter", one.name]);
  const { code, output } = await run("pnpm", [...filters, "-r", "pack", "--pack-destination", dir], { env: packEnv });
  if (code !== 0) throw new Error(`pnpm pack failed\n${output}`);
  return published.map(({ name, manifest }) => ({ name, tarball: tarballOf(dir, name, manifest.version) }));
}

/**
 * Packs the prebuilt libraries into `dir`, where they are built and current; apart from the other packages, since npm
 * refuses to install one of another platform by its file.
 * @param {string} dir
 * @returns {Promise<{name: string, tarball: string, dir: string, manifest: Record<string, any>}[]>}
 */
export async function packPlatforms(dir) {
  const platforms = platformPackages();
  if (platforms.length === 0) return [];
  mkdirSync(dir, { recursive: true });
  const { code, output } = await run("npm", ["pack", "--pack-destination", dir, ...platforms.map((one) => one.dir)]);
  if (code !== 0) throw new Error(`npm pack failed\n${output}`);
  return platforms.map((one) => ({ ...one, tarball: tarballOf(dir, one.name, one.manifest.version) }));
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
