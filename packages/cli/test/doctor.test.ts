import { describe, expect, it } from "vitest";
import { ft } from "./run-ft.ts";

describe("ft doctor", () => {
  it("says what there is, what is missing, and one way to mend it", async () => {
    const { code, out } = await ft("doctor");
    expect(code).toBe(0);
    for (const name of ["ft", "cpu", "driver", "cuBLASLt", "cuDNN", "backend"])
      expect(out).toMatch(new RegExp(`^${name} `, "m"));
    expect(out.match(/^to mend it /gm)?.length ?? 0).toBe(/^(missing|slower) /m.test(out) ? 1 : 0);
  });

  it("writes the same as one document", async () => {
    const { code, out } = await ft("doctor", "--json");
    const { cpu, cuda, backend, ...rest } = JSON.parse(out);
    expect([code, rest.node]).toEqual([0, process.versions.node]);
    expect(cpu.threads).toBeGreaterThan(0);
    expect(backend).toBe(cuda.usable ? "cuda" : "cpu");
    expect(cuda.problems.length > 0 || cuda.usable).toBe(true);
  });

  it("refuses arguments that it does not have", async () => {
    expect((await ft("doctor", "--all")).code).toBe(2);
  });
});
