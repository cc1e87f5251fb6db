import type { CudaContext } from "../context.ts";
import { check, type DriverCalls, made } from "../driver/driver.ts";

/** Hears how long the card took for each call, after the next wait: a kernel by its name, "multiply 4096 x 4096 x 8192 bf16", "cudnn ...". */
export type CardObserver = (name: string, milliseconds: number) => void;

/** Times what is queued, between two events each. */
export interface Timing {
  /** Runs `fn`, which queues work under this name. */
  around(name: string, fn: () => void): void;
  /** Tells the observer of everything that was queued; the card has finished it. */
  flush(): void;
  dispose(): void;
}

export function createTiming(driver: DriverCalls, stream: bigint, observe: CardObserver): Timing {
  const idle: bigint[] = [];
  const pending: { readonly name: string; readonly from: bigint; readonly to: bigint }[] = [];
  const mark = (): bigint => {
    const event = idle.pop() ?? made("cuEventCreate", driver.cuEventCreate, 0);
    check("cuEventRecord", driver.cuEventRecord(event, stream));
    return event;
  };
  return {
    around(name, fn) {
      const from = mark();
      fn();
      pending.push({ name, from, to: mark() });
    },
    flush() {
      for (const { name, from, to } of pending.splice(0)) {
        const milliseconds = [0];
        check("cuEventElapsedTime", driver.cuEventElapsedTime(milliseconds, from, to));
        observe(name, milliseconds[0]!);
        idle.push(from, to);
      }
    },
    dispose() {
      for (const event of idle.splice(0)) driver.cuEventDestroy(event);
    },
  };
}

/** A context whose calls are timed. While a graph is recorded nothing is: events would be recorded with it. */
export function timed(context: CudaContext, { around }: Timing): Pick<CudaContext, "launch" | "multiply" | "external"> {
  const when = (name: string, fn: () => void): void => (context.capturing ? fn() : around(name, fn));
  const { launch, multiply, external } = context;
  return {
    launch: (name, ...rest) => when(name, () => launch(name, ...rest)),
    multiply: (product) =>
      when(`multiply ${product.m} x ${product.n} x ${product.k} ${product.a.dtype}`, () => multiply(product)),
    external: (name, fn) => when(name, () => external(name, fn)),
  };
}
