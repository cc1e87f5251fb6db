import { createWriteStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { FtError } from "@ft/tensor";
import { sha256File } from "@ft/weights";
import type { Unpacked } from "./from-pip.ts";
import type { NvidiaPackage } from "./packages.ts";
import { shell } from "./shell.ts";

/** NVIDIA's archive; FT_CUDA_ARCHIVE names a mirror of it. */
const usualRoot = "https://developer.download.nvidia.com/compute";

/** Fetches a package of NVIDIA's archive, checks it against the SHA-256 of its manifest, and unpacks it below `work`. */
export async function fromArchive(
  { product, manifest, entry }: NvidiaPackage,
  cuda: 12 | 13,
  work: string,
  signal: AbortSignal,
): Promise<Unpacked> {
  const root = (process.env.FT_CUDA_ARCHIVE || usualRoot).replace(/\/+$/, "");
  const address = `${root}/${manifest}`;
  const listed = read(await (await get(address, signal)).json(), entry, cuda);
  if (listed === undefined)
    throw new FtError("format", `${address} lists no ${entry} for ${platform()}`, "try --from pip");
  const file = join(work, basename(listed.path));
  await mkdir(work, { recursive: true });
  const { body } = await get(`${address.slice(0, address.lastIndexOf("/"))}/${listed.path}`, signal);
  if (body) await pipeline(Readable.fromWeb(body), createWriteStream(file), { signal });
  const digest = await sha256File(file);
  if (digest !== listed.sha256)
    throw new FtError(
      "io",
      `${basename(file)} has SHA-256 ${digest}, the manifest says ${listed.sha256}`,
      "run it again; nothing of it was kept",
    );
  const folder = join(work, product);
  await mkdir(folder);
  await shell("tar", ["-xf", file, "-C", folder], signal);
  return { version: listed.version, folder, source: basename(file), sha256: digest };
}

async function get(address: string, signal: AbortSignal): Promise<Response> {
  const hint = "look at the network, set FT_CUDA_ARCHIVE to a mirror, or use --from pip";
  const response = await fetch(address, { signal }).catch((cause: unknown) => {
    signal.throwIfAborted();
    throw new FtError("io", `${address} cannot be reached`, hint, { cause });
  });
  if (response.ok) return response;
  throw new FtError("io", `${address}: status ${response.status}`, hint);
}

/** NVIDIA's name for this machine. */
function platform(): string {
  return process.arch === "arm64" ? "linux-sbsa" : "linux-x86_64";
}

interface Listed {
  readonly version: string;
  readonly path: string;
  readonly sha256: string;
}

/** An entry of a manifest for this machine; where it has one for each CUDA version, that of `cuda`. */
function read(manifest: unknown, entry: string, cuda: 12 | 13): Listed | undefined {
  const of = (value: unknown, key: string): unknown =>
    typeof value === "object" && value !== null ? Object.entries(value).find(([name]) => name === key)?.[1] : undefined;
  const component = of(manifest, entry);
  const here = of(component, platform());
  const file = of(here, `cuda${cuda}`) ?? here;
  const [version, path, digest] = [of(component, "version"), of(file, "relative_path"), of(file, "sha256")];
  // what goes into a path and a folder's name must be nothing else
  const good =
    typeof version === "string" &&
    /^[\d.]+$/.test(version) &&
    typeof path === "string" &&
    /^[\w./-]+$/.test(path) &&
    !path.includes("..") &&
    typeof digest === "string";
  return good ? { version, path, sha256: digest.toLowerCase() } : undefined;
}
