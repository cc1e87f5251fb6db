// Child processes for the root commands. Node's own modules only: these run before anything is installed.
import { spawn } from "node:child_process";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder of the repository. */
export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/**
 * Runs a command and resolves to its exit code and, where `stdio` is "pipe", its output. Never rejects: a command that
 * cannot be started has code 127 and says why in `output`.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{cwd?: string, env?: NodeJS.ProcessEnv, stdio?: "pipe" | "inherit"}} [options]
 * @returns {Promise<{code: number, output: string}>}
 */
export function run(command, args, { cwd = root, env = {}, stdio = "pipe" } = {}) {
  return new Promise((done) => {
    // npm, npx and pnpm are .cmd files on Windows, which only a shell starts.
    const shell = process.platform === "win32" && !/\.exe$/i.test(command);
    const child = spawn(shell ? `"${command}"` : command, shell ? args.map((arg) => `"${arg}"`) : args, {
      cwd,
      env: { ...process.env, TURBO_TELEMETRY_DISABLED: "1", ...env },
      stdio: stdio === "inherit" ? "inherit" : ["ignore", "pipe", "pipe"],
      shell,
    });
    let output = "";
    child.stdout?.on("data", (chunk) => {
      output += chunk;
    });
    child.stderr?.on("data", (chunk) => {
      output += chunk;
    });
    // Ctrl-C reaches the whole group by itself; staying alive here lets the child finish in order.
    const wait = () => {};
    process.on("SIGINT", wait);
    const end = (code, text) => {
      process.off("SIGINT", wait);
      done({ code, output: text });
    };
    child.on("error", (error) => end(127, `${output}${command}: ${error.message}`));
    child.on("close", (code, signal) => end(code ?? (signal === "SIGINT" ? 130 : 1), output));
  });
}

/** Runs one of Node's own scripts with this Node. */
export const node = (args, options) => run(process.execPath, args, options);
