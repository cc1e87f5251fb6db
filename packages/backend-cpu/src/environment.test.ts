import { availableParallelism } from "node:os";
import { afterEach, describe, expect, it, vi } from "vitest";
import { createCpuBackend } from "./cpu-backend.ts";
import { threadsOfEnvironment } from "./environment.ts";

afterEach(() => {
  vi.unstubAllEnvs();
});

describe("the environment", () => {
  it.each([
    ["off", "loops"],
    ["wasm", "wasm"],
  ])("FT_NATIVE=%s takes the %s", async (value, engine) => {
    vi.stubEnv("FT_NATIVE", value);
    expect((await createCpuBackend()).engine).toBe(engine);
  });

  it.each(["0", "OFF", "native", "false"])("FT_NATIVE=%s is refused, not passed over", async (value) => {
    vi.stubEnv("FT_NATIVE", value);
    await expect(createCpuBackend()).rejects.toMatchObject({
      code: "config",
      message: expect.stringMatching(`FT_NATIVE is "${value}"; set it to wasm, or to off`),
    });
  });

  it.each(["0", "-1", "1.5", "two"])("FT_THREADS=%s is refused, not passed over", (value) => {
    vi.stubEnv("FT_THREADS", value);
    expect(threadsOfEnvironment).toThrow(`FT_THREADS is "${value}"; set it to a whole number of at least 1`);
  });

  it("counts the cores where FT_THREADS is not set, or empty", () => {
    vi.stubEnv("FT_THREADS", "");
    expect(threadsOfEnvironment()).toBe(availableParallelism());
    vi.stubEnv("FT_THREADS", "3");
    expect(threadsOfEnvironment()).toBe(3);
  });
});

it("says how many threads run, not how many were asked for", async () => {
  const backend = await createCpuBackend({ threads: 100_000 });
  expect(backend.threads).toBeLessThanOrEqual(256);
  await createCpuBackend(); // back to the usual number
});
