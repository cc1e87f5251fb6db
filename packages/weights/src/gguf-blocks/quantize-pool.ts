import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { FtError } from "@ft/tensor";
import { checkWholeBlocks, type GgufType, refusal } from "./gguf-type.ts";
import { quantizeModule } from "./quantize-module.ts";

/** How `createQuantizer` works. */
export interface QuantizerOptions {
  /** threads beside the main one, started when first needed; the number of cores unless given; 0 keeps everything on the main thread */
  readonly threads?: number;
}

/** Quantises on several threads. Results are the bytes of `type.quantize`, whatever the number of threads. */
export interface Quantizer extends AsyncDisposable {
  /**
   * Whole blocks: `values` are cut into chunks that threads quantise side by side; a few chunks are copied at a time. Leave `values` as they
   * are until then, and await each call before reading the next weights, so that memory holds little else.
   * Errors: as `GgufType.quantize`, the first in the order of the values; "disposed" after `close`.
   */
  quantize(type: GgufType, values: Float32Array): Promise<Uint8Array<ArrayBuffer>>;
  /** Ends the threads; what has not been finished is refused. */
  close(): Promise<void>;
}

/** Makes a quantiser. Close it when done: `close()`, or `await using`. Errors: "input" (a number of threads below 0). */
export function createQuantizer(options: QuantizerOptions = {}): Quantizer {
  const threads = options.threads ?? availableParallelism();
  if (!Number.isInteger(threads) || threads < 0 || threads > 1024)
    throw new FtError("input", `[createQuantizer] ${threads} threads`, "give a whole number from 0 to 1024");
  return new QuantizePool(threads);
}

/** Values in a chunk: the module's capacity, a multiple of every block; some milliseconds of work. */
const chunk = 65_536;
/** Chunks that a thread is given ahead: one to work on, one to go on with. */
const ahead = 2;

/** Runs in a thread as plain JavaScript, so that no file has to be found or compiled for it. */
const threadSource = `
const { parentPort, workerData } = require("node:worker_threads");
const { memory, input, output, quantize } = new WebAssembly.Instance(workerData).exports;
parentPort.on("message", ({ id, values, bytes }) => {
  new Float32Array(memory.buffer, input(), values.length).set(values);
  const outcome = quantize(id, values.length);
  const blocks = new Uint8Array(memory.buffer, output(), bytes).slice();
  parentPort.postMessage({ outcome, blocks }, [blocks.buffer]);
});`;

interface Job {
  readonly type: GgufType;
  readonly values: Float32Array;
  readonly out: Uint8Array<ArrayBuffer>;
  /** index of the first value that no thread has been given */
  next: number;
  /** chunks that threads work on */
  running: number;
  failure: { readonly at: number; readonly outcome: number } | undefined;
  readonly resolve: (blocks: Uint8Array<ArrayBuffer>) => void;
  readonly reject: (error: FtError) => void;
}

interface Thread {
  readonly worker: Worker;
  /** what it was given and has not answered, in order */
  readonly pending: { readonly job: Job; readonly at: number }[];
}

class QuantizePool implements Quantizer {
  readonly #size: number;
  readonly #threads: Thread[] = [];
  readonly #jobs = new Set<Job>();
  #ended: FtError | undefined;

  constructor(size: number) {
    this.#size = size;
  }

  async quantize(type: GgufType, values: Float32Array): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#ended) throw this.#ended;
    checkWholeBlocks(type, values);
    // one chunk is done sooner than sent, and conversions to F16 and BF16 take no longer than copies
    if (this.#size === 0 || values.length <= chunk || type.elements === 1) return type.quantize(values);
    while (this.#threads.length < this.#size) this.#threads.push(this.#start());
    return new Promise((resolve, reject) => {
      const out = new Uint8Array((values.length / type.elements) * type.bytes);
      this.#jobs.add({ type, values, out, next: 0, running: 0, failure: undefined, resolve, reject });
      this.#feed();
    });
  }

  async close(): Promise<void> {
    this.#end(new FtError("disposed", "[quantize] the quantiser is closed", "make another one"));
    await Promise.all(this.#threads.splice(0).map(({ worker }) => worker.terminate()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #start(): Thread {
    const worker = new Worker(threadSource, { eval: true, workerData: quantizeModule(), execArgv: [] });
    const thread: Thread = { worker, pending: [] };
    worker.on("message", (answer: { outcome: number; blocks: Uint8Array }) => this.#take(thread, answer));
    const lost = (cause: unknown) =>
      this.#end(
        new FtError("interrupted", `[quantize] a thread ended: ${cause}`, "try it with less at a time", { cause }),
      );
    worker.on("error", lost);
    worker.on("exit", (code) => lost(`exit code ${code}`));
    worker.unref(); // an idle thread does not keep the process
    return thread;
  }

  /** Gives threads chunks, evenly, in the order of the calls. */
  #feed(): void {
    for (let depth = 0; depth < ahead; depth++) {
      for (const { worker, pending } of this.#threads) {
        if (pending.length > depth) continue;
        const job = this.#waiting();
        if (!job) return;
        const { type, next: at } = job;
        const values = job.values.slice(at, at + chunk);
        job.next = at + values.length;
        job.running++;
        if (pending.length === 0) worker.ref();
        pending.push({ job, at });
        worker.postMessage({ id: type.id, values, bytes: (values.length / type.elements) * type.bytes }, [
          values.buffer,
        ]);
      }
    }
  }

  #waiting(): Job | undefined {
    for (const job of this.#jobs) if (!job.failure && job.next < job.values.length) return job;
    return undefined;
  }

  #take({ worker, pending }: Thread, { outcome, blocks }: { outcome: number; blocks: Uint8Array }): void {
    const { job, at } = pending.shift()!;
    if (pending.length === 0) worker.unref();
    job.running--;
    // earlier chunks are with other threads at most: the first failure of all is known when none runs
    if (outcome === -1) job.out.set(blocks, (at / job.type.elements) * job.type.bytes);
    else if (!job.failure || at < job.failure.at) job.failure = { at, outcome };
    if (job.running === 0 && (job.failure || job.next >= job.values.length)) {
      this.#jobs.delete(job);
      if (job.failure) job.reject(refusal(job.type, job.values, job.failure.at, job.failure.outcome));
      else job.resolve(job.out);
    }
    this.#feed();
  }

  #end(reason: FtError): void {
    this.#ended ??= reason;
    for (const job of this.#jobs) job.reject(this.#ended);
    this.#jobs.clear();
  }
}
