import { spawn } from "node:child_process";
import { FtError } from "@ft/tensor";

/** Runs a program to its end and gives what it printed. Code "io", with its last words, when it fails; the signal ends it. */
export async function shell(command: string, args: readonly string[], signal?: AbortSignal): Promise<string> {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...(signal && { signal }) });
  const said = { out: "", err: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said.out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said.err += text;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject).once("close", resolve);
  }).catch((cause: unknown) => {
    signal?.throwIfAborted();
    throw new FtError("io", `${command} cannot be started`, "install it, or take the other source: --from", { cause });
  });
  if (code === 0) return said.out;
  const last = said.err.trim().split("\n").slice(-3).join(" ");
  throw new FtError(
    "io",
    `${command} ${args.slice(0, 3).join(" ")} failed: ${last}`,
    "look at the network and the disk, then run it again",
  );
}

/** Whether a program runs. */
export async function runs(command: string, ...args: readonly string[]): Promise<boolean> {
  return shell(command, args).then(
    () => true,
    () => false,
  );
}
