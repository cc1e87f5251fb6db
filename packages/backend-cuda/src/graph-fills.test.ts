import { expect, it } from "vitest";
import type { DriverCalls } from "./driver/driver.ts";
import { fillsAsKernels } from "./graph-fills.ts";
import type { KernelLibrary } from "./launch/kernel-library.ts";

/** A graph of nodes 1 (a kernel), 2 (a fill of two rows of 12 bytes, 64 bytes apart, with 0xab) and 3 (a kernel), in a row. */
function driverOf(said: unknown[], order = 0): DriverCalls {
  const list = (nodes: readonly bigint[]) => (_: bigint, to: BigUint64Array | null, count: number[]) => {
    to?.set(nodes);
    count[0] = nodes.length;
    return order;
  };
  return {
    cuGraphGetNodes: (_: bigint, to: BigUint64Array | null, count: number[]) => {
      list([1n, 2n, 3n])(0n, to, count);
      return 0;
    },
    cuGraphNodeGetType: (node: bigint, type: number[]) => {
      type[0] = node === 2n ? 2 : 0;
      return 0;
    },
    cuGraphNodeGetDependencies: list([1n]),
    cuGraphNodeGetDependentNodes: list([3n]),
    cuGraphMemsetNodeGetParams: (_: bigint, to: BigUint64Array) => {
      to.set([0x1000n, 64n, (1n << 32n) | 0xabn, 12n, 2n]);
      return 0;
    },
    cuGraphAddKernelNode: (out: bigint[], graph: bigint, before: BigUint64Array, count: number, bytes: Uint8Array) => {
      const view = new DataView(bytes.buffer);
      const sizes = Array.from({ length: 7 }, (_, i) => view.getUint32(8 + 4 * i, true));
      said.push({ graph, before: [...before], count, handle: view.getBigUint64(0, true), sizes });
      out[0] = 9n;
      return 0;
    },
    cuGraphAddDependencies: (graph: bigint, from: BigUint64Array, to: BigUint64Array, count: number) => {
      said.push({ graph, from: [...from], to: [...to], count });
      return 0;
    },
    cuGraphDestroyNode: (node: bigint) => {
      said.push({ gone: node });
      return 0;
    },
  } as unknown as DriverCalls;
}
const library = {
  get: () => ({ handle: 7n, types: ["u64", "u64", "u64", "u32", "u32"], sharedBytes: 0 }),
} as unknown as KernelLibrary;

it("puts a kernel between what came before and after a fill", () => {
  const said: unknown[] = [];
  fillsAsKernels(driverOf(said), library, 5n);
  expect(said).toEqual([
    { graph: 5n, before: [1n], count: 1, handle: 7n, sizes: [1, 2, 1, 256, 1, 1, 0] },
    { graph: 5n, from: [9n], to: [3n], count: 1 },
    { gone: 2n },
  ]);
});

it("leaves a fill whose neighbours the driver does not tell", () => {
  const said: unknown[] = [];
  fillsAsKernels(driverOf(said, 911), library, 5n);
  expect(said).toEqual([]);
});
