import { type AnyKernel, type Backend, bytesOf, FtError, kernelTable } from "@ft/tensor";
import { dtypes, forgetting, partOf, remember } from "./buffer.ts";
import { openCard } from "./card.ts";
import type { Address, CardFacts, CudaBuffer, CudaContext } from "./context.ts";
import { createMultiply, workspaceBytes } from "./cublas/multiply.ts";
import { check, loadDriver } from "./driver/driver.ts";
import { fillsAsKernels } from "./graph-fills.ts";
import { createGraphs, type Graphs } from "./graphs.ts";
import { fusedKernels } from "./kernels/index.ts";
import { architectureOf } from "./launch/architecture.ts";
import { KernelLibrary } from "./launch/kernel-library.ts";
import { createLauncher } from "./launch/launcher.ts";
import { findDriver } from "./libraries/cards.ts";
import { requireLibraries } from "./libraries/require.ts";
import { type CardGround, cardGround } from "./memory/card-ground.ts";
import { type CardMemoryStats, createRegion, noMemory, reserveForever } from "./memory/card-memory.ts";
import { createParking } from "./memory/parking.ts";
import { createStaging } from "./memory/staging.ts";
import { primitives } from "./primitives/index.ts";
import { type CardObserver, createTiming, timed } from "./profile/timing.ts";

/** Settings of createCudaBackend. */
export interface CudaOptions {
  /** which card, as the driver counts them; 0 */
  readonly device?: number;
  /** bitwise the same results in every run, at some cost; false */
  readonly deterministic?: boolean;
  /** record what repeats as CUDA graphs; true */
  readonly graphs?: boolean;
  /** try several algorithms for each shape of a matrix product and keep the fastest; true unless deterministic */
  readonly tune?: boolean;
  /** fused kernels on top of the built-in ones; a later kernel of the same op replaces an earlier one */
  readonly kernels?: readonly AnyKernel<CudaContext>[];
  /** fills every buffer that is handed out with NaN, so that a kernel that leaves elements unwritten shows (for conformance) */
  readonly poison?: boolean;
  /** hears how long the card took for each call; cardProfile() makes one that adds up. Without it nothing is timed. */
  readonly observe?: CardObserver;
}

/** What the CUDA backend adds to the contract. */
export interface CudaBackend extends Backend<CudaBuffer> {
  readonly card: CardFacts;
  /** what it holds on the card */
  readonly stats: CardMemoryStats;
  /** what it holds beside that for as long as it lives: what products work in, and tables */
  readonly reservedBytes: number;
  restartPeak(): void;
  readonly libraries: CudaContext["libraries"];
  /** Waits for everything that was queued. */
  synchronize(): void;
  dispose(): void;
}

/**
 * A backend on an NVIDIA card: `const cuda = await createCudaBackend()`. Needs the driver, cuBLAS and, for fast attention,
 * cuDNN; `ft doctor` says what was found, `ft setup cuda` brings the libraries. Throws code "backend" where one is missing.
 */
export async function createCudaBackend(options: CudaOptions = {}): Promise<CudaBackend> {
  const { device = 0, deterministic = false, tune = !deterministic, poison = false, kernels = [] } = options;
  const driver = loadDriver();
  const libraries = requireLibraries({ driverCuda: Math.floor(findDriver(driver).cuda / 1000) });
  const { facts, stream, close, device: handle } = openCard(driver, device);
  const library = new KernelLibrary(driver, architectureOf(facts.capability));
  const staging = createStaging(driver, stream);
  // addresses cost nothing: twice the card's memory leaves room for holes
  const ground = (bytes: number, piece: number): CardGround => cardGround(driver, handle, bytes, piece);
  const ordinary = createRegion(ground, 2 * facts.memory);
  const forGraphs = createRegion(ground, 2 * facts.memory);
  let region = ordinary;
  const kept = new Map<string, unknown>();
  const forever: Address[] = [];
  let graphs: Graphs | undefined;

  const take = (bytes: number): CudaBuffer => {
    let buffer = region.take(bytes);
    if (buffer === undefined) {
      parking.settle();
      if (!context.capturing) staging.wait();
      ordinary.trim();
      // memory under idle blocks of recorded graphs is what their replays work in
      if (!context.capturing && !graphs?.count) forGraphs.trim();
      buffer = region.take(bytes);
    }
    if (buffer === undefined) throw noMemory(driver, bytes, backend.stats);
    if (poison) context.fill(buffer.address, 0xff, bytes);
    return buffer;
  };
  const give = (buffer: CudaBuffer): void => {
    const owner = ordinary.owns(buffer) ? ordinary : forGraphs;
    owner.give(buffer);
  };
  const parking = createParking(driver, stream, give);
  let reserved = 0;
  const reserve = (bytes: number): Address => {
    const address = reserveForever(driver, bytes);
    reserved += bytes;
    forever.push(address);
    return address;
  };
  const products = createMultiply({
    path: libraries.cublasLt,
    stream,
    workspace: reserve(workspaceBytes),
    deterministic,
    tune,
    driver,
    capturing: () => context.capturing,
  });

  const context: CudaContext = {
    card: facts,
    stream,
    dry: false,
    deterministic,
    libraries,
    launch: createLauncher(driver, library, stream),
    multiply: products.multiply,
    external: (_, fn) => fn(),
    scratch(bytes, fn) {
      const buffer = take(bytes);
      try {
        return fn(buffer.address);
      } finally {
        give(buffer);
      }
    },
    copy(to, from, bytes) {
      if (bytes > 0) check("copying on the card", driver.cuMemcpyDtoDAsync(to, from, bytes, stream));
    },
    fill(to, byte, bytes) {
      if (bytes > 0) check("filling memory", driver.cuMemsetD8Async(to, byte, bytes, stream));
    },
    keep<T>(key: string, make: () => T): T {
      if (!kept.has(key)) kept.set(key, make());
      return kept.get(key) as T;
    },
    reserve,
    upload(to, { buffer, byteOffset, byteLength }) {
      if (context.capturing)
        throw new FtError(
          "backend",
          "[cuda] what is recorded as a graph takes a value from the host",
          "pass it as an input of the graph",
        );
      staging.upload(to, new Uint8Array(buffer, byteOffset, byteLength));
    },
    get capturing() {
      return graphs?.capturing ?? false;
    },
    guard: (buffer, describe) => graphs?.guard(buffer, describe),
  };

  const timing = options.observe && createTiming(driver, stream, options.observe);
  if (timing) Object.assign(context, timed(context, timing));
  const wait = (): void => {
    staging.wait();
    timing?.flush();
  };

  if (options.graphs !== false)
    graphs = createGraphs({
      driver,
      stream,
      context,
      enterGraphs() {
        // what is recorded cannot follow copies that are not
        parking.settle();
        staging.wait();
        ordinary.trim();
        region = forGraphs;
      },
      beforeEnd: () => parking.settle(),
      failed: () => parking.abandon(),
      prepare: (graph) => fillsAsKernels(driver, library, graph),
      leaveGraphs() {
        region = ordinary;
      },
      giveBack: (buffer) => forGraphs.give(buffer),
    });

  const backend: CudaBackend = {
    name: "cuda",
    dtypes,
    mutable: true,
    card: facts,
    libraries,
    primitives: forgetting(primitives(context)),
    kernels: kernelTable([...fusedKernels, ...kernels]),
    context,
    alloc: (spec) => take(bytesOf(spec)),
    part: partOf,
    free(buffer) {
      if (!parking.defers(buffer)) give(buffer);
    },
    park(buffer) {
      if (context.capturing)
        throw new FtError(
          "backend",
          "[cuda] values that wait in the host's memory are not recorded",
          "steps with offloaded checkpoints are queued one by one, which costs them little",
        );
      return parking.park(buffer);
    },
    bytes: bytesOf,
    write(buffer, spec, data) {
      context.upload(buffer.address, data);
      remember(buffer, spec, data);
    },
    async read(buffer, spec) {
      const bytes = staging.download(buffer.address, bytesOf(spec));
      timing?.flush();
      return bytes;
    },
    ...(graphs && { graphs }),
    get stats() {
      const [a, b] = [ordinary.stats, forGraphs.stats];
      return {
        liveBytes: a.liveBytes + b.liveBytes,
        peakBytes: Math.max(a.peakBytes + b.liveBytes, a.liveBytes + b.peakBytes),
        heldBytes: a.heldBytes + b.heldBytes,
        made: a.made + b.made,
        get largest() {
          return Math.max(a.largest, b.largest);
        },
      };
    },
    get reservedBytes() {
      return reserved;
    },
    restartPeak() {
      ordinary.restartPeak();
      forGraphs.restartPeak();
    },
    synchronize: wait,
    dispose() {
      parking.settle();
      wait();
      graphs?.dispose();
      for (const one of kept.values()) if (isDisposable(one)) one.dispose();
      timing?.dispose();
      kept.clear();
      products.dispose();
      for (const address of forever.splice(0)) driver.cuMemFree(address);
      parking.dispose();
      staging.dispose();
      ordinary.dispose();
      forGraphs.dispose();
      library.dispose();
      close();
    },
  };
  return backend;
}

function isDisposable(x: unknown): x is { dispose(): void } {
  return typeof x === "object" && x !== null && "dispose" in x && typeof x.dispose === "function";
}
