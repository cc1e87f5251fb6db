import { setTimeout as sleep } from "node:timers/promises";
import type { FtError } from "@ft/tensor";

/** A failure that may pass: thrown by an attempt, caught by `retrying`. */
export class Transient extends Error {
  /** what to report if it does not pass */
  readonly final: FtError;
  /** milliseconds the server asks to wait */
  readonly wait: number | undefined;
  /** whether the attempt got further than all before it */
  readonly progressed: boolean;
  constructor(final: FtError, { wait, progressed = false }: { wait?: number | undefined; progressed?: boolean } = {}) {
    super(final.message);
    this.final = final;
    this.wait = wait;
    this.progressed = progressed;
  }
}

/** Longer waits than this are left to the user. */
const maxWait = 60_000;

/**
 * Makes attempts until one does not fail with `Transient`, waiting twice as long each time or as long as the server asks. Gives up
 * after `retries` failures in a row that brought nothing, or when the server asks for more than a minute.
 */
export async function retrying<T>(
  attempt: () => Promise<T>,
  { retries, retryDelay }: { readonly retries: number; readonly retryDelay: number },
  signal: AbortSignal,
): Promise<T> {
  for (let failures = 0; ; ) {
    signal.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Transient)) throw error;
      failures = error.progressed ? 1 : failures + 1;
      if (failures > retries || (error.wait ?? 0) > maxWait) throw error.final;
      // spread a little, so that files which failed together do not come back together
      const pause = error.wait ?? retryDelay * 2 ** (failures - 1) * (1 + 0.25 * Math.random());
      await sleep(Math.min(pause, maxWait), undefined, { signal }).catch(() => {});
    }
  }
}
