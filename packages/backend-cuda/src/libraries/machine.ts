import { execFileSync } from "node:child_process";
import { readdirSync, realpathSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** What the search looks at. Tests give one of their own. */
export interface Machine {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  /** names in a folder, sorted; none where it cannot be read */
  list(folder: string): readonly string[];
  /** the file behind a path, links followed; undefined where there is none */
  real(path: string): string | undefined;
  /** what the dynamic linker knows, as `ldconfig -p` prints it; empty where that fails */
  linker(): string;
  /** folders that `python3` imports from; none where there is no Python */
  python(): readonly string[];
}

/** The machine that this process runs on. */
export function thisMachine(): Machine {
  return {
    env: process.env,
    home: homedir(),
    list(folder) {
      try {
        return readdirSync(folder).sort();
      } catch {
        return [];
      }
    },
    real(path) {
      try {
        return realpathSync(path);
      } catch {
        return undefined;
      }
    },
    linker: () => printed("ldconfig", "-p") || printed("/sbin/ldconfig", "-p"),
    python() {
      const text = printed("python3", "-c", "import sys; print('\\n'.join(sys.path))");
      return text.split("\n").filter((line) => line.startsWith("/"));
    },
  };
}

/** What a command prints; empty when it fails or takes longer than five seconds. */
function printed(command: string, ...args: readonly string[]): string {
  try {
    return execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"], timeout: 5000 });
  } catch {
    return "";
  }
}

/** Where `ft setup cuda` keeps libraries: FT_CACHE, or `ft` in XDG_CACHE_HOME, or ~/.cache/ft; below it `cuda`. */
export function libraryCache({ env, home }: Pick<Machine, "env" | "home">): string {
  return join(env.FT_CACHE || join(env.XDG_CACHE_HOME || join(home, ".cache"), "ft"), "cuda");
}
