export interface NativeBuild {
  readonly status: "built" | "current" | "no-compiler" | "failed";
  /** where the library is, or would be */
  readonly library: string;
  /** one line for the user; a compiler's complaints after it */
  readonly message: string;
}

/** File name of the shared library on a platform (`process.platform` when absent). */
export function libraryName(platform?: string): string;

/** Compiles and links when sources, compiler or flags changed since the last build. `out` is `build/` of the package when absent. */
export function buildNative(options?: {
  readonly env?: NodeJS.ProcessEnv;
  readonly out?: string;
}): Promise<NativeBuild>;
