import { existsSync } from "node:fs";
import { type CpuBackend, createCpuBackend } from "@ft/backend-cpu";
import type { CudaBackend, CudaReport } from "@ft/backend-cuda";
import type { Plannable } from "@ft/backend-plan";
import { FtError } from "@ft/tensor";
import { type PeakMemory, peakMemory } from "@ft/trainer";

export type BackendName = "auto" | "cpu" | "cuda";

/** A backend of this command. */
export type OpenBackend = CpuBackend | CudaBackend;

export interface BackendOptions {
  /** threads of the CPU kernels */
  readonly threads?: number | undefined;
  /** what the CPU's products are made of */
  readonly compute?: "f32" | "bf16" | undefined;
  readonly deterministic?: boolean | undefined;
  readonly cudaGraphs?: boolean | undefined;
  /** what activations are to be computed in: the backend is opened all the same, and the CPU says that it is slow */
  readonly dtype?: "f32" | "bf16" | "f16" | undefined;
  /** hears, once, which backend auto chose where there is a card, and what is slow */
  readonly note?: (line: string) => void;
}

/** What opening a card takes; tests give their own. */
export interface CudaDoor {
  /** whether there can be a card at all: cheap, since every command asks */
  present(): boolean;
  load(): Promise<Pick<typeof import("@ft/backend-cuda"), "createCudaBackend" | "dryCard" | "inspectCuda">>;
}

/** The package is loaded when a card may be there, or is asked for. */
export const thisDoor: CudaDoor = { present: cardPresent, load: () => import("@ft/backend-cuda") };

export function openBackend(name: "cpu", options?: BackendOptions): Promise<CpuBackend>;
export function openBackend(name: BackendName, options?: BackendOptions, door?: CudaDoor): Promise<OpenBackend>;
/** Opens a backend; auto is cuda where a card and its libraries are usable, cpu otherwise. Code "backend" when cuda is not. */
export async function openBackend(
  name: BackendName,
  options: BackendOptions = {},
  door: CudaDoor = thisDoor,
): Promise<OpenBackend> {
  const { threads, compute = "f32", deterministic, cudaGraphs, note } = options;
  if (name === "cuda" || (name === "auto" && door.present())) {
    const { createCudaBackend, inspectCuda } = await door.load();
    const report = inspectCuda();
    const device = report.cards.find(({ why }) => why === undefined)?.device ?? 0;
    if (report.usable) {
      const backend = await createCudaBackend({
        device,
        ...(deterministic !== undefined && { deterministic }),
        ...(cudaGraphs !== undefined && { graphs: cudaGraphs }),
      });
      if (name === "auto") note?.(`backend auto: cuda, ${backend.card.name}`);
      for (const { what, fix } of report.problems) note?.(`${what}: ${fix}`);
      return backend;
    }
    if (name === "cuda") throw notUsable(report);
    const [problem] = report.problems;
    note?.(`backend auto: cpu, since ${problem?.what}; ${problem?.fix}`);
  }
  const slow = slowOnCpu(options.dtype);
  if (slow !== undefined) note?.(slow);
  return createCpuBackend({ compute, ...(threads !== undefined && { threads }) });
}

/** What the CPU says of activations in 16 bits; undefined where there is nothing to say. */
export function slowOnCpu(dtype: BackendOptions["dtype"]): string | undefined {
  if (dtype === undefined || dtype === "f32") return undefined;
  return `dtype ${dtype} is computed by slow reference kernels here: about ten times slower than f32; on a card it is the fast way`;
}

/** The same with what it holds given back at the end of a block. */
export function closing<B extends OpenBackend>(backend: B): { readonly backend: B } & Disposable {
  return {
    backend,
    [Symbol.dispose]() {
      try {
        if ("dispose" in backend) backend.dispose();
      } catch (error) {
        // a card that was lost gives nothing back; what was lost has been said, and the process ends
        if (!FtError.is(error)) throw error;
      }
    },
  };
}

/** What a plan of a run on this backend is made with: its kernels, over memory that is not there. */
export async function plannable(backend: OpenBackend): Promise<Plannable<unknown>> {
  if (!("card" in backend)) return backend;
  const { dryCard } = await import("@ft/backend-cuda");
  return dryCard(backend.card);
}

/** The peaks of a run: `resident` is the process on the CPU, and on a card what is held there. */
export function peakOf(backend: OpenBackend): PeakMemory {
  const peak = peakMemory(backend);
  return "card" in backend ? { ...peak, resident: backend.stats.heldBytes + backend.reservedBytes } : peak;
}

/** Where a run computes, for people: "cpu, native kernels, 4 threads", "cuda, NVIDIA H100 80GB HBM3". */
export function describeBackend(backend: OpenBackend): string {
  if ("card" in backend) return `${backend.name}, ${backend.card.name}`;
  const { engine, threads } = backend;
  const how = {
    native: `native kernels, ${threads} thread${threads === 1 ? "" : "s"}`,
    wasm: "WASM kernels, 1 thread",
    loops: "reference loops, which are slow",
  }[engine];
  return `${backend.name}, ${how}`;
}

function notUsable({ problems }: CudaReport): FtError {
  const [problem] = problems;
  const fix = problem?.fix ?? "`ft doctor` says more";
  const hint = fix.startsWith("ft ") ? `run \`${fix}\`` : fix;
  const other = hint.includes("backend cpu") ? "" : ", or use --backend cpu";
  return new FtError("backend", `the backend cuda cannot be used here: ${problem?.what}`, `${hint}${other}`);
}

/** A driver leaves one of these on Linux, also in containers; on Windows only loading it tells. */
function cardPresent(): boolean {
  if (process.platform === "win32") return true;
  return ["/dev/nvidiactl", "/proc/driver/nvidia/version", "/dev/dxg"].some((path) => existsSync(path));
}
