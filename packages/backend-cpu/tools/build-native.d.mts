export interface NativeBuild {
  readonly status: "built" | "current" | "no-compiler" | "failed";
  /** where the library is, or would be */
  readonly library: string;
  /** one line for the user; a compiler's complaints after it */
  readonly message: string;
}

/** Compiles and links when sources, compiler or flags changed since the last build. `out` is `build/` of the package when absent. */
export function buildNative(options?: {
  readonly env?: NodeJS.ProcessEnv;
  readonly out?: string;
}): Promise<NativeBuild>;
