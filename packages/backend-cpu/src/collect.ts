import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/**
 * Frees arrays that nobody holds, now. V8 counts the memory behind typed arrays but collects between turns of the event
 * loop, and a backward is one turn: a gigabyte let go in its middle would stay until its end. Nothing where V8 has no such call.
 */
export function collect(): void {
  gc ??= findGc();
  gc();
}

let gc: (() => void) | undefined;

function findGc(): () => void {
  try {
    setFlagsFromString("--expose-gc");
    const found: unknown = runInNewContext("gc");
    if (typeof found === "function") return () => found();
  } catch {
    // another engine, or flags are frozen
  }
  return () => {};
}
