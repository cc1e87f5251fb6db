import { type AnyKernel, bytesOf, type DataOf, type DType, FtError, kernelTable, type Spec } from "@ft/tensor";
import { dtypes, partOf, remember } from "../buffer.ts";
import type { Address, CardFacts, CudaBuffer, CudaContext, Product } from "../context.ts";
import { workspaceBytes } from "../cublas/multiply.ts";
import { fusedKernels } from "../kernels/index.ts";
import { readManifest, typesOf } from "../launch/kernel-library.ts";
import { createParameters } from "../launch/parameters.ts";
import type { CardGround } from "../memory/card-ground.ts";
import { createRegion, type Region } from "../memory/card-memory.ts";

/** What one call would have done. */
export interface DryCall {
  readonly kernel: string;
  /** floating-point operations of matrix products; otherwise 0 */
  readonly flops: number;
  readonly bytes: number;
  readonly transient: number;
  readonly kept: Readonly<Record<string, number>>;
}

/** A card's kernels and memory with nothing behind them: what a plan is made with, so that it cannot tell another story. */
export interface DryCard {
  readonly name: "cuda";
  readonly dtypes: ReadonlySet<DType>;
  readonly mutable: true;
  readonly kernels: ReadonlyMap<symbol, AnyKernel>;
  bytes(spec: Spec): number;
  dryRun(hooks: { readonly call: (call: DryCall) => void }): DryCardRun;
}

/** One dry run. */
export interface DryCardRun {
  readonly context: CudaContext;
  alloc(spec: Spec): CudaBuffer;
  part(buffer: CudaBuffer, spec: Spec, start: number, count: number): CudaBuffer;
  free(buffer: CudaBuffer): void;
  write(buffer: CudaBuffer, spec: Spec, data: DataOf[DType]): void;
  held(): { readonly live: number; readonly idle: number };
}

/** The CUDA backend of a card that need not be there, for `createPlanBackend` of @ft/backend-plan. Attention as with cuDNN. Throws code "config" on facts that no card has. */
export function dryCard(card: CardFacts): DryCard {
  checkFacts(card);
  return {
    name: "cuda",
    dtypes,
    mutable: true,
    kernels: kernelTable(fusedKernels),
    bytes: bytesOf,
    dryRun({ call }) {
      const region = createRegion(endlessGround, 64 * card.memory);
      let reserved = workspaceBytes;
      const context = dryContext(card, region, call, (bytes) => {
        reserved += bytes;
        call({ ...nothing, kernel: "reserve", kept: { reserved } });
      });
      call({ ...nothing, kernel: "reserve", kept: { reserved } });
      return {
        context,
        alloc: (spec) => taken(region, bytesOf(spec)),
        part: partOf,
        free: (buffer) => region.give(buffer),
        write: remember,
        held: () => ({ live: region.stats.liveBytes, idle: region.stats.heldBytes - region.stats.liveBytes }),
      };
    },
  };
}

/** Throws code "config" on facts that no card has. */
function checkFacts({ capability, multiprocessors, memory }: CardFacts): void {
  for (const [name, value, least, hint] of [
    ["capability", capability, 80, "90 stands for compute capability 9.0; 80 is the least"],
    ["multiprocessors", multiprocessors, 1, "an H100 has 132"],
    ["memory", memory, 1, "give bytes"],
  ] as const)
    if (!(Number.isSafeInteger(value) && value >= least))
      throw new FtError("config", `[dryCard] ${name} is ${value}`, hint);
}

const nothing = { flops: 0, bytes: 0, transient: 0, kept: {} } as const;

/** Addresses without memory. */
function endlessGround(_bytes: number, piece: number): CardGround {
  return {
    piece,
    base: 0x1000_0000_0000n + BigInt(piece) * 2n ** 22n,
    fill: () => true,
    empty: () => {},
    dispose: () => {},
  };
}

function taken(region: Region, bytes: number): CudaBuffer {
  const buffer = region.take(bytes);
  if (buffer === undefined) throw new Error("addresses do not run out in a plan");
  return buffer;
}

function dryContext(
  card: CardFacts,
  region: Region,
  call: (call: DryCall) => void,
  reserve: (bytes: number) => void,
): CudaContext {
  const manifest = readManifest();
  const parameters = createParameters();
  const kept = new Map<string, unknown>();
  let end: Address = 0x2000_0000_0000n;
  return {
    card,
    stream: 0n,
    dry: true,
    deterministic: false,
    capturing: false,
    libraries: { cublasLt: "" },
    launch(kernel, _grid, _block, values) {
      const known = manifest.kernels[kernel];
      if (known === undefined)
        throw new FtError("unsupported", `[cuda] there is no kernel ${kernel}`, "build the kernels");
      parameters.pack(kernel, typesOf(known), values);
      call({ ...nothing, kernel });
    },
    multiply: ({ m, n, k, batch = 1 }: Product) =>
      call({ ...nothing, kernel: "multiply", flops: 2 * m * n * k * batch }),
    external: (kernel) => call({ ...nothing, kernel }),
    scratch(bytes, fn) {
      const buffer = taken(region, bytes);
      call({ ...nothing, kernel: "scratch" });
      try {
        return fn(buffer.address);
      } finally {
        region.give(buffer);
      }
    },
    copy: () => {},
    fill: () => {},
    keep<T>(key: string, make: () => T): T {
      if (!kept.has(key)) kept.set(key, make());
      return kept.get(key) as T;
    },
    reserve(bytes) {
      reserve(bytes);
      const at = end;
      end += BigInt(bytes);
      return at;
    },
    upload: () => {},
    guard: () => {},
  };
}
