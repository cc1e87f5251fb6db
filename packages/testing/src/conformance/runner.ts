/** The functions of a test framework that the suites need: vitest, jest or node:test fit. */
export interface Runner {
  describe(name: string, body: () => void): void;
  it(name: string, body: () => Promise<void>): void;
  afterAll(body: () => void): void;
}

/** Makes something when first asked for it: suites are declared synchronously, backends are not made so. */
export function lazily<T>(make: () => T | Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= Promise.resolve().then(make);
    return made;
  };
}

/** Runs `body` and, where it throws, puts in front what was being tried. */
export async function during<T>(what: string, body: () => T | Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    if (error instanceof Error) error.message = `${what}: ${error.message}`;
    throw error;
  }
}
