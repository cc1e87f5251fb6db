import { describe, expect, it } from "vitest";
import type { DriverCalls } from "../driver/driver.ts";
import { loadCublasLt } from "./abi.ts";
import { type FakeAnswers, fakeLibrary, productOf } from "./fake-library.ts";
import { createMultiply, type MultiplyHost } from "./multiply.ts";

/** times in milliseconds that the pretended card takes, in the order they are asked for */
function setup(answers: FakeAnswers = {}, host: Partial<MultiplyHost> = {}, times: number[] = []) {
  const { lt, said } = fakeLibrary(answers);
  const out = (value: number | bigint) => (to: unknown) => {
    if (Array.isArray(to)) to[0] = value;
    return 0;
  };
  const driver = {
    cuEventCreate: out(7n),
    cuEventDestroy: () => 0,
    cuEventRecord: () => 0,
    cuEventSynchronize: () => 0,
    cuEventElapsedTime: (to: unknown) => out(times.shift() ?? 1)(to),
    cuMemsetD8Async: (at: bigint, byte: number, bytes: number) => {
      said.push(`fill ${at} with ${byte}: ${bytes}`);
      return 0;
    },
  } as unknown as DriverCalls;
  const usual = { path: "", stream: 1n, workspace: 2n, deterministic: false, tune: false, capturing: () => false };
  const { multiply, dispose } = createMultiply({ ...usual, driver, library: lt, ...host });
  return {
    multiply,
    dispose,
    /** what was given back */
    destroyed: () => said.filter((line) => line.startsWith("destroy")),
    /** what was queued since the last look */
    queued: () => said.splice(0).filter((line) => line.startsWith("multiply") || line.startsWith("fill")),
    plans: () => said.filter((line) => line.startsWith("product compute")).length,
  };
}

const product = productOf("f32");
const algorithms = (queued: readonly string[]): number[] => queued.map((line) => Number(line.split(" ").at(-1)));

describe("multiply", () => {
  it("queues b before a, with alpha and beta", () => {
    const { multiply, queued } = setup();
    multiply(product);
    multiply({ ...product, alpha: 0.5, beta: 1 });
    expect(queued()).toEqual([
      "multiply 512 by 256 to 1024, alpha 1, beta 0, algorithm 1",
      "multiply 512 by 256 to 1024, alpha 0.5, beta 1, algorithm 1",
    ]);
  });

  it("plans a shape once", () => {
    const { multiply, plans } = setup();
    for (let i = 0; i < 3; i++) multiply({ ...product, alpha: i });
    multiply({ ...product, m: 4 });
    expect(plans()).toBe(2);
  });

  it("gives back every plan, then the handle", () => {
    const { multiply, dispose, destroyed } = setup();
    multiply(product);
    multiply({ ...product, m: 4 });
    dispose();
    const plan = ["destroy product", "destroy layout", "destroy layout", "destroy layout"];
    expect(destroyed()).toEqual([...plan, ...plan, "destroy"]);
  });

  it("queues nothing for a result without elements, and zeros for a sum over nothing", () => {
    const { multiply, queued } = setup();
    for (const empty of [{ m: 0 }, { n: 0 }, { batch: 0 }]) multiply({ ...product, ...empty });
    multiply({ ...product, k: 0, beta: 1 });
    expect(queued()).toEqual([]);
    multiply({ ...product, k: 0 });
    expect(queued()).toEqual(["fill 1024 with 0: 60"]);
    multiply({ ...product, m: 2, k: 0, batch: 2, out: { ...product.out, ld: 4, stride: 100 } });
    expect(queued()).toEqual([
      "fill 1024 with 0: 12",
      "fill 1040 with 0: 12",
      "fill 1424 with 0: 12",
      "fill 1440 with 0: 12",
    ]);
  });

  it("names the product that failed", () => {
    const { multiply } = setup({ multiply: () => 13 });
    expect(() => multiply(product)).toThrow("a product 5 x 3 x 7: execution failed (13)");
  });
});

describe("tuning", () => {
  const three = { algorithms: 3 };

  it("keeps the fastest algorithm, drops those far behind on the way, and does not try again", () => {
    const { multiply, queued } = setup(three, { tune: true }, [3, 3, 1.1, 1, 1.1, 1, 1.1, 1, 0.9, 1]);
    multiply(product);
    const four = (by: number): number[] => Array(4).fill(by);
    const [one, two, last] = [four(1), four(2), four(3)];
    expect(algorithms(queued())).toEqual([one, one, two, last, two, last, two, last, two, last, 2].flat());
    multiply(product);
    expect(algorithms(queued())).toEqual([2]);
  });

  it("takes the library's first where the difference is within what times vary by", () => {
    const { multiply, queued } = setup(three, { tune: true }, [1, ...Array(4).fill([1.02, 1, 1.01]).flat()]);
    multiply(product);
    expect(algorithms(queued()).at(-1)).toBe(1);
  });

  it("tries no other for a product so short that the host's time would be measured", () => {
    const { multiply, queued } = setup(three, { tune: true }, [0.1]);
    multiply(product);
    expect(algorithms(queued())).toEqual([1, 1, 1, 1, 1]);
  });

  it("passes over an algorithm that does not run", () => {
    const { multiply, queued } = setup({ ...three, multiply: (by) => (by === 1 ? 15 : 0) }, { tune: true }, [3, 2]);
    multiply(product);
    expect(algorithms(queued()).at(-1)).toBe(3);
  });

  it("says what is wrong when none of them runs", () => {
    const { multiply } = setup({ ...three, multiply: () => 15 }, { tune: true });
    expect(() => multiply(product)).toThrow("not supported (15)");
  });

  it("leaves alone what adds to its result, what is recorded, and what must be the same in every run", () => {
    for (const [host, of] of [
      [{}, { beta: 1 }],
      [{ capturing: () => true }, {}],
      [{ deterministic: true }, {}],
    ] as const) {
      const { multiply, queued } = setup(three, { tune: true, ...host }, [3, 1, 2]);
      multiply({ ...product, ...of });
      expect(algorithms(queued())).toEqual([1]);
    }
  });
});

it("says which library cannot be loaded, and what brings it", () => {
  expect(() => loadCublasLt("/nowhere/libcublasLt.so.13")).toThrow(
    /libcublasLt.so.13 cannot be loaded: .*ft setup cuda/s,
  );
});
