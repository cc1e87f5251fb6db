import { dirname, join } from "node:path";
import type { Machine } from "./machine.ts";

/** Folders of the dynamic linker: LD_LIBRARY_PATH, what its cache lists, and where distributions put NVIDIA's libraries. */
export function* loaderFolders({ env, linker }: Machine): Iterable<string> {
  yield* (env.LD_LIBRARY_PATH ?? "").split(":").filter(Boolean);
  for (const [, path] of linker().matchAll(/lib(?:cublasLt|cudnn)\.so\.\d+ .*=> (\/\S+)/g))
    if (path) yield dirname(path);
  yield* ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/lib/wsl/lib"];
}

/** Folders of CUDA toolkits, the newest first. */
export function* toolkitFolders({ env, list }: Machine): Iterable<string> {
  const roots = [env.CUDA_HOME, env.CUDA_PATH].filter((root) => root !== undefined && root !== "");
  const installed = list("/usr/local").filter((name) => /^cuda(-|$)/.test(name));
  for (const name of installed.sort((a, b) => b.localeCompare(a, "en", { numeric: true })))
    roots.push(join("/usr/local", name));
  for (const root of roots)
    if (root)
      for (const below of ["lib64", "lib", "targets/x86_64-linux/lib", "targets/sbsa-linux/lib"])
        yield join(root, below);
}

/** Folders of NVIDIA's Python wheels: of the active environment, then of wherever `python3` imports from. */
export function* pythonFolders(machine: Machine): Iterable<string> {
  const { env, list } = machine;
  const below = (site: string): string[] =>
    // nvidia/cu13 holds several libraries, nvidia/cublas and nvidia/cudnn one each; the names of newer CUDA versions first
    list(join(site, "nvidia"))
      .filter((name) => /^cu\d+$|^cublas$|^cudnn$/.test(name))
      .sort((a, b) => Number(/\d/.test(b)) - Number(/\d/.test(a)) || b.localeCompare(a, "en", { numeric: true }))
      .map((name) => join(site, "nvidia", name, "lib"));
  for (const root of [env.VIRTUAL_ENV, env.CONDA_PREFIX])
    if (root) {
      for (const name of list(join(root, "lib")))
        if (/^python3/.test(name)) yield* below(join(root, "lib", name, "site-packages"));
      // conda's own packages
      yield join(root, "lib");
    }
  for (const site of machine.python()) yield* below(site);
}
