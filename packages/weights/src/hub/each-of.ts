/**
 * Does something for every item, `workers` at a time, and returns the results in order. The first failure stops the others through
 * their signal; it is thrown when all have stopped.
 */
export async function eachOf<T, R>(
  items: readonly T[],
  workers: number,
  signal: AbortSignal,
  work: (item: T, stop: AbortSignal) => Promise<R>,
): Promise<R[]> {
  const failure = new AbortController();
  const stop = AbortSignal.any([signal, failure.signal]);
  const results: R[] = [];
  const queue = items.entries();
  let first: { readonly error: unknown } | undefined;
  const worker = async (): Promise<void> => {
    for (const [i, item] of queue) {
      if (stop.aborted) return;
      try {
        results[i] = await work(item, stop);
      } catch (error) {
        first ??= { error };
        failure.abort(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, Math.min(workers, items.length)) }, worker));
  signal.throwIfAborted();
  if (first !== undefined) throw first.error;
  return results;
}
