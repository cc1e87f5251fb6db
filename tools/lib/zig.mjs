// `zig cc`: clang with the C libraries of every platform, for the libraries that are built ahead.
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, renameSync } from "node:fs";
import { join } from "node:path";
import { cacheFolder, withWheel } from "./wheel.mjs";

/** The bytes of what it builds depend on it. */
const VERSION = "0.15.2";

/**
 * The pinned compiler, from the Python package `ziglang` (MIT, 93 MB) in the user's cache; works offline from then on.
 * `FT_ZIG` names an executable of this version to use instead.
 * @returns {Promise<{name: string, command: string, args: string[], env: NodeJS.ProcessEnv}>}
 */
export async function zigCompiler() {
  const folder = cacheFolder(`ziglang-${VERSION}`);
  const binary = process.platform === "win32" ? "zig.exe" : "zig";
  const command = process.env.FT_ZIG || join(folder, binary);
  if (!existsSync(command)) {
    console.error(`zig: fetching ziglang ${VERSION} (93 MB)`);
    await withWheel(`ziglang==${VERSION}`, cacheFolder("."), (unpacked) => {
      chmodSync(join(unpacked, "ziglang", binary), 0o755);
      if (!existsSync(command)) renameSync(join(unpacked, "ziglang"), folder);
    });
  }
  const found = spawnSync(command, ["version"], { encoding: "utf8" });
  if (found.stdout?.trim() !== VERSION)
    throw new Error(`${command} is zig ${found.stdout?.trim() || "of no version"}, not ${VERSION}`);
  const env = { ...process.env, ZIG_GLOBAL_CACHE_DIR: cacheFolder(`ziglang-${VERSION}-built`) };
  return { name: "zig cc", command, args: ["cc"], env };
}
