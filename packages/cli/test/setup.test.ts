import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { setupCuda } from "../src/setup/setup-cuda.ts";
import { emptyFolder, ft } from "./run-ft.ts";

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

async function write(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
}

/** An archive in NVIDIA's layout, of made-up files. */
async function archive(product: string, files: readonly string[]): Promise<Buffer> {
  const folder = await emptyFolder();
  const name = `${product}-archive`;
  await write(folder, { [`${name}/LICENSE`]: `licence of ${product}` });
  await write(folder, Object.fromEntries(files.map((file) => [`${name}/lib/${file}`, file])));
  execFileSync("tar", ["-cJf", "archive.tar.xz", name], { cwd: folder });
  return readFile(join(folder, "archive.tar.xz"));
}

/** NVIDIA's archive on this machine; `spoilt` names an archive whose bytes are not those of the manifest. */
async function server(spoilt?: string): Promise<string> {
  const files = new Map<string, Buffer>();
  const entry = async (root: string, product: string, version: string, libraries: readonly string[], cuda?: string) => {
    const bytes = await archive(product, libraries);
    const file = { relative_path: `${product}/${product}.tar.xz`, sha256: sha256(bytes) };
    files.set(`/${root}/redist/${file.relative_path}`, product === spoilt ? Buffer.from("spoilt") : bytes);
    const here = cuda === undefined ? file : { [cuda]: file };
    return { [product]: { version, "linux-x86_64": here, "linux-sbsa": here } };
  };
  const cuda = {
    ...(await entry("cuda", "libcublas", "13.1.0.3", [
      "libcublas.so.13",
      "libcublasLt.so.13",
      "stubs/libcublasLt.so.13",
    ])),
    ...(await entry("cuda", "cuda_nvrtc", "13.0.88", ["libnvrtc.so.13"])),
  };
  const cudnn = await entry("cudnn", "cudnn", "9.14.0.64", cudnnFiles, "cuda13");
  files.set("/cuda/redist/redistrib_13.0.2.json", Buffer.from(JSON.stringify(cuda)));
  files.set("/cudnn/redist/redistrib_9.14.0.json", Buffer.from(JSON.stringify(cudnn)));
  const http = createServer((request, response) => {
    const bytes = files.get(request.url ?? "");
    response.writeHead(bytes ? 200 : 404).end(bytes);
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void http.close());
  const address = http.address();
  return `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
}

const cudnnFiles = ["libcudnn.so.9", "libcudnn_graph.so.9", "libcudnn_engines_precompiled.so.9"];

async function caches(): Promise<string> {
  const cache = await emptyFolder();
  vi.stubEnv("FT_CACHE", cache);
  onTestFinished(() => void vi.unstubAllEnvs());
  return join(cache, "cuda");
}

describe.skipIf(process.platform !== "linux")("ft setup cuda", () => {
  it("fetches from NVIDIA's archive into one folder, with licences and a record", async () => {
    const cache = await caches();
    vi.stubEnv("FT_CUDA_ARCHIVE", await server());
    await write(cache, {
      "cuda13-cublas13.0.0.1-cudnn9.9.0.1/lib/old": "",
      "cuda12-cublas12.9.1.4-cudnn9.9.0.1/lib/other": "",
    });
    const { code, out, err } = await ft("setup", "cuda", "--cuda", "13", "--from", "archive");
    expect(err).toContain(
      "brought     cublas 13.1.0.3, cudnn 9.14.0.64, nvrtc 13.0.88; ft doctor shows what is used\n",
    );
    const folder = join(cache, "cuda13-cublas13.1.0.3-cudnn9.14.0.64");
    expect([code, out]).toEqual([0, `${folder}\n`]);
    expect((await readdir(cache)).sort()).toEqual([
      "cuda12-cublas12.9.1.4-cudnn9.9.0.1",
      "cuda13-cublas13.1.0.3-cudnn9.14.0.64",
    ]);
    expect((await readdir(join(folder, "lib"))).sort()).toEqual(
      [...cudnnFiles, "libcublasLt.so.13", "libnvrtc.so.13"].sort(),
    );
    expect(await readFile(join(folder, "lib", "libcublasLt.so.13"), "utf8")).toBe("libcublasLt.so.13");
    expect(await readFile(join(folder, "licences", "cudnn", "LICENSE"), "utf8")).toBe("licence of cudnn");
    const { packages } = JSON.parse(await readFile(join(folder, "source.json"), "utf8"));
    expect(packages).toMatchObject([{ product: "cublas", sha256: expect.stringMatching(/^[\da-f]{64}$/) }, {}, {}]);
  });

  it("refuses an archive that is not what the manifest says, and keeps nothing", async () => {
    const cache = await caches();
    vi.stubEnv("FT_CUDA_ARCHIVE", await server("cudnn"));
    const { code, err } = await ft("setup", "cuda", "--cuda", "13", "--from", "archive");
    expect([code, err]).toEqual([2, expect.stringMatching(/cudnn\.tar\.xz has SHA-256 .*the manifest says/)]);
    expect(existsSync(cache)).toBe(false);
  });

  it("ends at once where the cache has them, unless it is told otherwise", async () => {
    await caches();
    vi.stubEnv("FT_CUDA_ARCHIVE", await server());
    const args = ["setup", "cuda", "--cuda", "13", "--from", "archive"];
    const first = await ft(...args);
    const second = await ft(...args);
    expect([second.code, second.out]).toEqual([0, first.out]);
    expect(second.err).toMatch(/^already there: cublas 13\.1\.0\.3, cudnn 9\.14\.0\.64, .*--force/);
    expect((await ft(...args, "--force")).err).toMatch(/^fetching /);
  });

  it("names a cache folder that cannot be made", async () => {
    const folder = await emptyFolder();
    await writeFile(join(folder, "file"), "");
    vi.stubEnv("FT_CACHE", join(folder, "file"));
    onTestFinished(() => void vi.unstubAllEnvs());
    const { code, err } = await ft("setup", "cuda", "--cuda", "13", "--from", "archive");
    expect([code, err]).toEqual([2, expect.stringMatching(/file\/cuda cannot be made .*\(ENOTDIR\)\n.*FT_CACHE/)]);
  });

  it.runIf(process.platform === "linux")("does not wait for a file system that makes no folders", async () => {
    vi.stubEnv("FT_CACHE", "/proc/nothing");
    onTestFinished(() => void vi.unstubAllEnvs());
    const { code, err } = await ft("setup", "cuda", "--cuda", "13", "--from", "archive");
    expect([code, err]).toEqual([2, expect.stringMatching(/\/proc\/nothing\/cuda cannot be made/)]);
  });

  it("wants room on the disk before it fetches anything", async () => {
    const cache = await caches();
    const started = setupCuda({
      cuda: 13,
      cache,
      from: "archive",
      note: () => {},
      signal: new AbortController().signal,
      room: async () => 1e9,
    });
    await expect(started).rejects.toMatchObject({
      code: "io",
      message: expect.stringContaining(`${cache} has 1.00 GB free, about 3.00 GB are needed`),
    });
    expect(existsSync(cache)).toBe(false);
  });

  it("leaves no empty folder when it is stopped", async () => {
    const cache = await caches();
    vi.stubEnv("FT_CUDA_ARCHIVE", await server());
    const stop = new AbortController();
    const note = (): void => stop.abort();
    const started = setupCuda({ cuda: 13, cache, from: "archive", note, signal: stop.signal });
    await expect(started).rejects.toMatchObject({ code: "interrupted" });
    expect(existsSync(cache)).toBe(false);
  });

  it("says what cannot be reached", async () => {
    await caches();
    vi.stubEnv("FT_CUDA_ARCHIVE", `${await server()}/nowhere`);
    const { code, err } = await ft("setup", "cuda", "--cuda", "13", "--from", "archive");
    expect([code, err]).toEqual([2, expect.stringMatching(/redistrib_13.0.2.json: status 404[\s\S]*--from pip/)]);
  });

  it("fetches wheels with pip", async () => {
    const cache = await caches();
    const bin = await pip();
    vi.stubEnv("PATH", `${bin}:${process.env.PATH}`);
    const { code, out, err } = await ft("setup", "cuda", "--cuda", "12", "--json");
    expect([code, err]).toEqual([0, expect.stringContaining("nvidia-cudnn-cu12>=9.8,<10, with pip")]);
    expect(JSON.parse(out)).toMatchObject({
      cuda: 12,
      folder: join(cache, "cuda12-cublas12.9.1.4-cudnn9.14.0.64"),
      packages: [
        { source: "nvidia_cublas_cu12-12.9.1.4-py3-none-any.whl" },
        { product: "cudnn" },
        { product: "nvrtc" },
      ],
    });
    const folder = join(cache, "cuda12-cublas12.9.1.4-cudnn9.14.0.64");
    expect(await readdir(join(folder, "lib"))).toEqual(expect.arrayContaining(["libcublasLt.so.12", "libcudnn.so.9"]));
    expect(await readdir(join(folder, "licences", "cublas"))).toEqual(["License.txt"]);
  });

  it("needs a driver, or to be told for which", async () => {
    await caches();
    const { code, err } = await ft("setup", "cuda");
    // a machine with a card is asked nothing
    if (code !== 0) expect([code, err]).toEqual([2, expect.stringMatching(/driver[\s\S]*--cuda 12 or --cuda 13/)]);
  });
});

/** A folder with a python3 whose pip makes wheels up, as folders; its zipfile copies them. */
async function pip(): Promise<string> {
  const bin = await emptyFolder();
  const script = `#!/bin/sh
case "$2 $3" in
  "pip --version") exit 0 ;;
  "pip download")
    for last; do :; done
    while [ "$1" != "--dest" ]; do shift; done
    case "$last" in
      nvidia-cublas*) n=nvidia_cublas_cu12-12.9.1.4; d=cublas; f="libcublas.so.12 libcublasLt.so.12" ;;
      nvidia-cudnn*) n=nvidia_cudnn_cu12-9.14.0.64; d=cudnn; f="${cudnnFiles.join(" ")}" ;;
      *) n=nvidia_cuda_nvrtc_cu12-12.9.86; d=cuda_nvrtc; f=libnvrtc.so.12 ;;
    esac
    t=$(mktemp -d)
    mkdir -p "$2" "$t/nvidia/$d/lib" "$t/$n.dist-info"
    for one in $f; do echo $one > "$t/nvidia/$d/lib/$one"; done
    echo licence > "$t/$n.dist-info/License.txt"
    tar -cf "$2/$n-py3-none-any.whl" -C "$t" .
    rm -r "$t" ;;
  "zipfile -e") mkdir -p "$5" && tar -xf "$4" -C "$5" ;;
esac
`;
  await writeFile(join(bin, "python3"), script);
  await chmod(join(bin, "python3"), 0o755);
  return bin;
}
