import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";

const manifest = fileURLToPath(new URL("../../../tools/consumers/package.json", import.meta.url));

/** Whether the programs that tools/consumers.mjs installs are there. */
export function hasConsumer(name: string): boolean {
  return existsSync(new URL(`../../../tools/consumers/node_modules/${name}`, import.meta.url));
}

/** A program of tools/consumers, as a module. */
export async function loadConsumer<T>(name: string): Promise<T> {
  return import(pathToFileURL(createRequire(manifest).resolve(name)).href);
}
