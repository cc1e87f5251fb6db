import { FtError, sameShape, type View } from "@ft/tensor";
import type { Address, CudaBuffer, CudaContext, CudaView } from "./context.ts";
import { check, type DriverCalls, made } from "./driver/driver.ts";

/** Decisions that a recorded graph rests on: what a guard said of an input when it was recorded. */
interface Guard {
  readonly input: number;
  readonly describe: (host: Int32Array) => string;
  readonly said: string;
}

interface Recorded {
  readonly exec: bigint;
  /** the inputs that it reads; held, so that their places stay */
  readonly inputs: readonly CudaView[];
  readonly results: readonly CudaView[];
  readonly guards: readonly Guard[];
}

/** What recording needs of the backend. */
export interface GraphHost {
  readonly driver: DriverCalls;
  readonly stream: bigint;
  readonly context: CudaContext;
  /** From now on buffers come from the region of the graphs. Waits, and gives idle memory back. */
  enterGraphs(): void;
  /** Whatever was queued beside the stream comes back to it. */
  beforeEnd(): void;
  /** Changes what was recorded into what replays faster. */
  prepare(graph: Address): void;
  /** Nothing of what was queued for recording will run. */
  failed(): void;
  /** Buffers come from the ordinary region again. */
  leaveGraphs(): void;
  /** The memory of a result may be used by graphs that are recorded from now on. */
  giveBack(buffer: CudaBuffer): void;
}

/** Recorded work by key, for Backend.graphs. */
export interface Graphs {
  run(key: string, inputs: readonly View[], fn: () => readonly View[]): readonly View[];
  /** Gives up what was recorded under a key. */
  forget(key: string): void;
  /** The guard of the context while a graph is recorded. */
  guard(buffer: CudaBuffer, describe: (host: Int32Array) => string): void;
  readonly capturing: boolean;
  /** how many graphs there are */
  readonly count: number;
  dispose(): void;
}

/** So many graphs are kept; what comes after them is queued as ever. */
const most = 32;
/** CU_STREAM_CAPTURE_MODE_RELAXED: other calls of the driver may go on */
const relaxed = 2;

/**
 * The first time that a key is seen with inputs of some shapes, `fn` runs as ever: code is loaded and plans are made. The
 * second time it is recorded, and from then on replayed: one call for some thousand kernels. Memory that a graph uses is
 * its own between replays; all graphs share it, since only one runs at a time and its results are taken before the next.
 * Where a result is an input of several runs, those that were recorded with another in its place run as ever.
 */
export function createGraphs(host: GraphHost): Graphs {
  const { driver, stream } = host;
  const seen = new Set<string>();
  const recorded = new Map<string, Recorded[]>();
  const failed = new Set<string>();
  let count = 0;
  /** results whose memory is still their own */
  const lent = new Set<CudaView["storage"]>();
  /** every result: the work areas of other graphs may lie over one whose memory is not its own */
  const given = new WeakSet<CudaView["storage"]>();
  let recording: { readonly inputs: readonly CudaView[]; readonly guards: Guard[] } | undefined;

  const shapeKey = (key: string, inputs: readonly CudaView[]): string =>
    `${key}|${inputs.map(({ dtype, shape }) => `${dtype}${shape}`).join()}`;

  const serves = (graph: Recorded, inputs: readonly CudaView[]): boolean =>
    inputs.length === graph.inputs.length &&
    graph.inputs.every((to, i) => alike(inputs[i]!, to)) &&
    graph.guards.every(({ input, describe, said }) => {
      const { host: written } = inputs[input]!.storage.buffer;
      return written !== undefined && describe(written) === said;
    });

  const replay = (graph: Recorded, inputs: readonly CudaView[]): readonly CudaView[] => {
    for (let i = 0; i < inputs.length; i++) {
      const [from, to] = [inputs[i]!, graph.inputs[i]!];
      if (from.storage === to.storage) continue;
      const { address, bytes } = to.storage.buffer;
      host.context.copy(address, from.storage.buffer.address, bytes);
      to.storage.buffer.host = from.storage.buffer.host;
    }
    check("replaying a graph", driver.cuGraphLaunch(graph.exec, stream));
    for (const { storage } of graph.results) storage.retain();
    return graph.results;
  };

  /** Whether an input is a result in another place than the recorded one: a replay might overwrite it, and others read it too. */
  const wouldOverwrite = (graph: Recorded, inputs: readonly CudaView[]): boolean =>
    inputs.some(({ storage }, i) => storage !== graph.inputs[i]!.storage && given.has(storage));

  /** Gives back the results that no recorded graph reads, nor the one that is to be recorded: the next run may overwrite them. */
  const reclaim = (inputs: readonly CudaView[]): void => {
    const read = new Set(inputs.map(({ storage }) => storage));
    for (const graph of [...recorded.values()].flat()) for (const { storage } of graph.inputs) read.add(storage);
    for (const storage of lent)
      if (!read.has(storage)) {
        lent.delete(storage);
        host.giveBack(storage.buffer);
      }
  };

  const record = (inputs: readonly CudaView[], fn: () => readonly CudaView[]): Recorded => {
    reclaim(inputs);
    for (const { storage } of inputs) storage.retain();
    recording = { inputs, guards: [] };
    let graph: Address | undefined;
    let results: readonly CudaView[] | undefined;
    try {
      host.enterGraphs();
      check("recording a graph", driver.cuStreamBeginCapture(stream, relaxed));
      try {
        results = fn();
        host.beforeEnd();
      } finally {
        const out = [0n];
        const status = driver.cuStreamEndCapture(stream, out);
        if (results !== undefined) check("recording a graph", status);
        graph = BigInt(out[0]!);
      }
      host.prepare(graph);
      const exec = made("making a graph", driver.cuGraphInstantiate, graph, 0);
      for (const { storage } of results) {
        lent.add(storage);
        given.add(storage);
      }
      return { exec, inputs, results, guards: recording.guards };
    } catch (error) {
      for (const { storage } of [...inputs, ...(results ?? [])]) storage.release();
      host.failed();
      throw error;
    } finally {
      recording = undefined;
      if (graph !== undefined && graph !== 0n) driver.cuGraphDestroy(graph);
      host.leaveGraphs();
    }
  };

  const drop = (graphs: readonly Recorded[]): void => {
    // the last replay may still be under way
    if (graphs.length > 0) check("giving graphs up", driver.cuStreamSynchronize(stream));
    for (const { exec, inputs, results } of graphs) {
      count--;
      driver.cuGraphExecDestroy(exec);
      for (const { storage } of inputs) storage.release();
      for (const { storage } of results) {
        // what was given back is no longer the storage's to free; it is held for good, which costs nothing
        if (lent.delete(storage)) storage.release();
      }
    }
  };

  return {
    get capturing() {
      return recording !== undefined;
    },
    get count() {
      return count;
    },
    guard(buffer, describe) {
      if (recording === undefined) return;
      const input = recording.inputs.findIndex(({ storage }) => storage.buffer === buffer);
      if (input < 0 || buffer.host === undefined)
        throw new FtError("backend", "[cuda] a graph rests on what is no input of it", "pass it as an input");
      recording.guards.push({ input, describe, said: describe(buffer.host) });
    },
    run(key, inputs, fn) {
      if (recording !== undefined) return fn();
      const known = recorded.get(key) ?? [];
      const graph = known.find((one) => serves(one, inputs));
      if (graph) return wouldOverwrite(graph, inputs) ? fn() : replay(graph, inputs);
      const shape = shapeKey(key, inputs);
      const homeless = inputs.some(({ storage }) => given.has(storage) && !lent.has(storage));
      if (!seen.has(shape) || failed.has(shape) || count >= most || homeless) {
        seen.add(shape);
        return fn();
      }
      try {
        const fresh = record(inputs, fn);
        count++;
        recorded.set(key, [...known, fresh]);
        return replay(fresh, inputs);
      } catch (error) {
        // what cannot be recorded runs as ever
        failed.add(shape);
        const why = error instanceof Error ? error.message : String(error);
        process.emitWarning(`[cuda] ${key} is not recorded as a graph: ${why}`, { type: "FtWarning" });
        return fn();
      }
    },
    forget(key) {
      drop(recorded.get(key) ?? []);
      recorded.delete(key);
      for (const known of [seen, failed])
        for (const shape of known) if (shape.startsWith(`${key}|`)) known.delete(shape);
    },
    dispose() {
      for (const graphs of recorded.values()) drop(graphs);
      recorded.clear();
    },
  };
}

/** What comes back from a replay is often the very view that was recorded. */
function alike(a: CudaView, b: CudaView): boolean {
  return a === b || (a.dtype === b.dtype && sameShape(a.shape, b.shape));
}
