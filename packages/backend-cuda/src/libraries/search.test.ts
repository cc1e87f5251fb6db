import { describe, expect, it } from "vitest";
import type { Machine } from "./machine.ts";
import { requireLibraries } from "./require.ts";
import { findLibraries } from "./search.ts";

const [site, cudnnFiles] = ["/venv/lib/python3.12/site-packages", ["", "_graph", "_engines_precompiled"]];
const cudnnIn = (folder: string): string[] => cudnnFiles.map((part) => `${folder}/libcudnn${part}.so.9`);

/** A machine of these files; a file may be a link: "path -> target". */
function machine(files: readonly string[], rest: Partial<Machine> & { onPython?: () => void } = {}): Machine {
  const tree = new Map(files.map((text) => text.split(" -> ") as [string, string?]).map(([at, to]) => [at, to ?? at]));
  return {
    env: {},
    home: "/home/me",
    list(folder) {
      const below = [...tree.keys()].filter((path) => path.startsWith(`${folder}/`));
      return [...new Set(below.map((path) => path.slice(folder.length + 1).split("/")[0]!))].sort();
    },
    real: (path) => tree.get(path),
    linker: () => "",
    python: () => [],
    ...rest,
  };
}

describe("findLibraries", () => {
  it("finds nothing on a bare machine, and says where it looked", () => {
    const { looked, ...found } = findLibraries({ machine: machine([]) });
    expect(found).toEqual({ unusable: [] });
    expect(looked).toContain("/usr/lib/x86_64-linux-gnu");
  });

  it("takes what the environment names, before all else", () => {
    const files = ["/a/lt.so", "/usr/lib64/libcublasLt.so.13"];
    const { cublasLt } = findLibraries({ machine: machine(files, { env: { FT_CUBLASLT: "/a/lt.so" } }) });
    expect(cublasLt).toEqual({ path: "/a/lt.so", from: "environment" });
  });

  it("does not replace a file that the environment names and that is absent", () => {
    const found = findLibraries({
      machine: machine(["/usr/lib64/libcublasLt.so.13"], { env: { FT_CUBLASLT: "/a/lt.so" } }),
    });
    expect(found.cublasLt).toBeUndefined();
    expect(found.unusable).toMatchObject([{ path: "/a/lt.so", why: expect.stringContaining("not there") }]);
  });

  it("takes what `ft setup cuda` brought before the system's", () => {
    const cache = "/home/me/.cache/ft/cuda";
    const files = [
      `${cache}/.download-1/lib/libcublasLt.so.13`,
      `${cache}/cuda13-cublas13.10.0.3-cudnn9.14.0.64/lib/libcublasLt.so.13`,
      `${cache}/cuda13-cublas13.9.0.3-cudnn9.14.0.64/lib/libcublasLt.so.13`,
      ...cudnnIn(`${cache}/cuda13-cublas13.10.0.3-cudnn9.14.0.64/lib`),
      "/usr/lib64/libcublasLt.so.13",
    ];
    const found = findLibraries({ machine: machine(files) });
    expect(found.cublasLt).toEqual({ path: files[1], from: "ft cache", version: "13.10.0.3", cuda: 13 });
    expect(found.cudnn).toEqual({ path: files[3], from: "ft cache", version: "9.14.0.64", cuda: 13 });
  });

  it("follows FT_CACHE and XDG_CACHE_HOME", () => {
    for (const [env, file] of [
      [{ FT_CACHE: "/c" }, "/c/cuda/cuda12-cublas12.9.1.4-cudnn9.14.0.64/lib/libcublasLt.so.12"],
      [{ XDG_CACHE_HOME: "/x" }, "/x/ft/cuda/cuda12-cublas12.9.1.4-cudnn9.14.0.64/lib/libcublasLt.so.12"],
    ] as const)
      expect(findLibraries({ machine: machine([file], { env }) }).cublasLt?.path).toBe(file);
  });

  it("reads what the dynamic linker knows", () => {
    const file = "/opt/nvidia/libcublasLt.so.12";
    const linker = () => `\tlibcublasLt.so.12 (libc6,x86-64) => ${file}\n\tlibc.so.6 (libc6) => /usr/lib/libc.so.6\n`;
    const { cublasLt } = findLibraries({ machine: machine([`${file} -> ${file}.4.5.8`], { linker }) });
    expect(cublasLt).toEqual({ path: file, from: "system", version: "12.4.5.8", cuda: 12 });
  });

  it("takes the newest toolkit that the driver runs", () => {
    const of = (toolkit: string, major: number): string => `/usr/local/${toolkit}/lib64/libcublasLt.so.${major}`;
    const files = [of("cuda-12.9", 12), of("cuda-12.10", 12), of("cuda-13.0", 13)];
    const take = (driverCuda: number) => findLibraries({ driverCuda, machine: machine(files) });
    expect(take(13).cublasLt?.path).toBe(files[2]);
    expect(take(12).cublasLt?.path).toBe(files[1]);
    expect(take(12).unusable).toMatchObject([{ path: files[2], why: expect.stringMatching(/CUDA 13.*CUDA 12/) }]);
  });

  it("finds the wheels of both layouts in the active environment, without starting Python", () => {
    const python = (): never => {
      throw new Error("started");
    };
    const env = { VIRTUAL_ENV: "/venv" };
    const newer = [
      `${site}/nvidia/cu13/lib/libcublasLt.so.13`,
      ...cudnnIn(`${site}/nvidia/cudnn/lib`),
      `${site}/nvidia_cublas-13.0.0.19.dist-info/RECORD`,
      `${site}/nvidia_cudnn_cu13-9.13.0.50.dist-info/RECORD`,
    ];
    expect(findLibraries({ machine: machine(newer, { env, python }) })).toMatchObject({
      cublasLt: { path: newer[0], from: "python wheels", version: "13.0.0.19", cuda: 13 },
      cudnn: { path: newer[1], from: "python wheels", version: "9.13.0.50", cuda: 13 },
    });
    const older = [`${site}/nvidia/cublas/lib/libcublasLt.so.12`, ...cudnnIn(`${site}/nvidia/cudnn/lib`)];
    expect(findLibraries({ machine: machine(older, { env, python }) })).toMatchObject({
      cublasLt: { path: older[0], cuda: 12 },
      cudnn: { path: older[1] },
    });
  });

  it("asks python3 where it imports from, last and once", () => {
    let asked = 0;
    const files = [
      "/opt/t/site-packages/nvidia/cu13/lib/libcublasLt.so.13",
      ...cudnnIn("/opt/t/site-packages/nvidia/cudnn/lib"),
    ];
    const python = () => {
      asked++;
      return ["/opt/t/site-packages"];
    };
    const found = findLibraries({ machine: machine(files, { python }) });
    expect([found.cublasLt?.path, found.cudnn?.path, asked]).toEqual([files[0], files[1], 1]);
  });

  it("leaves out a cuDNN without its parts, and one for another CUDA version", () => {
    const [whole, lone] = [`${site}/nvidia/cudnn/lib`, "/usr/lib64/libcudnn.so.9"];
    const files = [
      lone,
      "/usr/lib64/libcublasLt.so.13",
      ...cudnnIn(whole),
      `${site}/nvidia_cudnn_cu12-9.10.2.21.dist-info/RECORD`,
    ];
    const found = findLibraries({ machine: machine(files, { python: () => [site] }) });
    expect(found.cudnn).toBeUndefined();
    expect(found.unusable).toMatchObject([
      { path: lone, why: expect.stringContaining("libcudnn_graph.so.9") },
      { path: `${whole}/libcudnn.so.9`, why: expect.stringMatching(/CUDA 12.*CUDA 13/) },
    ]);
  });
});

describe("requireLibraries", () => {
  it("gives paths, cuDNN only where it is", () => {
    const files = ["/usr/lib64/libcublasLt.so.13"];
    expect(requireLibraries({ machine: machine(files) })).toEqual({ cublasLt: files[0] });
  });

  it("says that cuBLASLt is missing, or why the one that is there cannot be used", () => {
    expect(() => requireLibraries({ machine: machine([]) })).toThrow(
      /libcublasLt.so.12 or .13 was not found[\s\S]*ft setup cuda/,
    );
    const newer = machine(["/usr/lib64/libcublasLt.so.13"]);
    expect(() => requireLibraries({ driverCuda: 12, machine: newer })).toThrow(/CUDA 13, the driver runs CUDA 12/);
  });
});
