import { totalmem } from "node:os";
import { type Backend, FtError, scope, tensor } from "@ft/tensor";
import { add, linear } from "@ft/tensor/ops";

/** What this machine does in a second. */
export interface Rates {
  /** floating-point operations of a product of matrices */
  readonly flops: number;
  /** bytes read and written by an elementwise operation */
  readonly bytes: number;
}

/** Measures a product of 1024 x 2048 x 1024 and a sum of 8 Mi numbers, the best of some repetitions: about a second. */
export async function measureRates(backend: Backend): Promise<Rates> {
  const [m, k, n, many] = [1024, 2048, 1024, 2 ** 23];
  using x = tensor(backend, "f32", ["row", "in"], [m, k], new Float32Array(m * k).fill(0.5), { give: true });
  using w = tensor(backend, "f32", ["out", "in"], [n, k], new Float32Array(n * k).fill(0.25), { give: true });
  using a = tensor(backend, "f32", ["element"], [many], new Float32Array(many).fill(1), { give: true });
  const product = await best(() => scope(() => linear(x, w).dispose()));
  const sum = await best(() => scope(() => add(a, a).dispose()));
  return { flops: (2 * m * k * n) / product, bytes: (3 * 4 * many) / sum };
}

/** Seconds of the fastest of some calls. */
async function best(call: () => void): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  const end = performance.now() + 500;
  for (let i = 0; i < 3 || performance.now() < end; i++) {
    const from = performance.now();
    call();
    least = Math.min(least, performance.now() - from);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return least / 1000;
}

/** Bytes that a process may use here: the machine's, or what its control group is limited to. */
export function machineMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

const units: ReadonlyMap<string, number> = new Map([
  ["", 1],
  ["B", 1],
  ["KB", 1e3],
  ["MB", 1e6],
  ["GB", 1e9],
  ["TB", 1e12],
  ["KIB", 2 ** 10],
  ["MIB", 2 ** 20],
  ["GIB", 2 ** 30],
  ["TIB", 2 ** 40],
]);

/** "16GB", "512 MiB" or "1.5e9" in bytes. Code "config" for anything else, and below 1 MB without a unit. */
export function parseMemory(text: string, what = "memory"): number {
  const [, digits = "", unit = ""] = /^\s*([\d.]+(?:e\d+)?)\s*([a-z]*)\s*$/i.exec(text) ?? [];
  const bytes = Number(digits) * (units.get(unit.toUpperCase()) ?? Number.NaN);
  if (unit === "" && bytes > 0 && bytes < 1e6)
    throw new FtError("config", `${what} "${text}" is ${digits} bytes`, `give a unit, such as ${digits}GB`);
  if (digits !== "" && Number.isFinite(bytes) && bytes > 0) return bytes;
  throw new FtError("config", `${what} "${text}"`, "give a size such as 16GB or 512MiB");
}
