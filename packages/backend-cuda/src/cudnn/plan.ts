import { FtError } from "@ft/tensor";
import koffi from "koffi";
import type { Address } from "../context.ts";
import { attribute, attributeType, dataType, descriptor, heuristicsModes } from "./enums.ts";
import type { Graph, GraphOperation, GraphTensor } from "./graph.ts";
import type { Cudnn } from "./library.ts";

/** A graph that is ready to run with memory of any address that is a multiple of 16. */
export interface CudnnPlan {
  /** bytes of the work area */
  readonly workspace: number;
  /** names of the tensors in memory */
  readonly names: readonly string[];
  /** Queues it. `memory` says where each named tensor is. */
  execute(memory: { readonly [name: string]: Address | undefined }, workspace: Address): void;
}

/** Pointers of so many executions are kept. */
const mostPacks = 256;

type Setting = readonly [name: number, type: number, values: ArrayBufferView & { readonly length: number }];

const int32 = (value: number): Int32Array => Int32Array.of(value);
const int64 = (values: readonly number[]): BigInt64Array => BigInt64Array.from(values, BigInt);
const handles = (values: readonly bigint[]): BigUint64Array => BigUint64Array.from(values);
const link = (name: number, to: bigint): Setting => [name, attributeType.descriptor, handles([to])];

/** Hands a graph to cuDNN, which finds an engine for it. Throws where it has none. */
export function makePlan(cudnn: Cudnn, graph: Graph): CudnnPlan {
  const { calls, check } = cudnn;
  const create = (kind: number): bigint => {
    const out = [0n];
    check("making a descriptor", calls.createDescriptor(kind, out));
    return BigInt(out[0]!);
  };
  const make = (what: string, kind: number, settings: readonly Setting[]): bigint => {
    const made = create(kind);
    try {
      for (const [name, type, values] of settings)
        check(`${what}, attribute ${name}`, calls.setAttribute(made, name, type, values.length, values));
      check(what, calls.finalize(made));
      return made;
    } catch (error) {
      calls.destroyDescriptor(made);
      throw error;
    }
  };

  const made = new Map<GraphTensor, bigint>();
  const tensor = (of: GraphTensor): bigint => {
    const known = made.get(of);
    if (known !== undefined) return known;
    const settings: Setting[] = [
      [attribute.tensorDataType, attributeType.dataType, int32(of.type)],
      [attribute.tensorDimensions, attributeType.int64, int64(of.dims)],
      [attribute.tensorStrides, attributeType.int64, int64(of.strides)],
      [attribute.tensorId, attributeType.int64, int64([of.id])],
      [attribute.tensorAlignment, attributeType.int64, int64([16])],
    ];
    if (of.value !== undefined) settings.push([attribute.tensorByValue, attributeType.boolean, Uint8Array.of(1)]);
    else if (of.name === undefined) settings.push([attribute.tensorVirtual, attributeType.boolean, Uint8Array.of(1)]);
    if (of.offsets) settings.push(link(attribute.tensorRagged, tensor(of.offsets)));
    const one = make(`tensor ${of.name ?? of.id}`, descriptor.tensor, settings);
    made.set(of, one);
    return one;
  };

  const operations = graph.operations.map((operation) => {
    const { kind, settings } = settingsOf(operation, make, tensor);
    return make(operation.kind, kind, settings);
  });
  const whole = make("graph", descriptor.operationGraph, [
    [attribute.graphHandle, attributeType.handle, handles([cudnn.handle])],
    [attribute.graphOperations, attributeType.descriptor, handles(operations)],
  ]);

  const plan = firstPlan(cudnn, whole, create, make);
  const bytes = new BigInt64Array(1);
  check("its work area", calls.getAttribute(plan, attribute.planWorkspace, attributeType.int64, 1, [0], bytes));

  const named = graph.tensors.filter((one) => one.name !== undefined);
  const numbers = graph.tensors.filter((one) => one.value !== undefined);
  // cuDNN reads them from the host in every execution: one buffer that stays where it is, each number on its own 16 bytes
  const values = new Float32Array(new ArrayBuffer(Math.max(4096, numbers.length * 16)));
  for (const [i, { value = 0 }] of numbers.entries()) values[4 * i] = value;
  const home = BigInt(koffi.address(values));
  const ids = int64([...named, ...numbers].map(({ id }) => id));
  const pointers = new BigUint64Array(ids.length);
  for (const i of numbers.keys()) pointers[named.length + i] = home + BigInt(16 * i);
  const packs = new Map<string, bigint>();
  /** The descriptor of the pointers: layers come back to the same memory in every step, so some are kept. */
  const packOf = (workspace: Address): bigint => {
    const key = `${pointers.subarray(0, named.length).join()},${workspace}`;
    const known = packs.get(key);
    if (known !== undefined) return known;
    for (const [oldest, pack] of packs) {
      if (packs.size < mostPacks) break;
      packs.delete(oldest);
      calls.destroyDescriptor(pack);
    }
    const pack = make("variant pack", descriptor.variantPack, [
      [attribute.packWorkspace, attributeType.pointer, handles([workspace])],
      [attribute.packPointers, attributeType.pointer, pointers],
      [attribute.packIds, attributeType.int64, ids],
    ]);
    packs.set(key, pack);
    return pack;
  };

  return {
    workspace: Number(bytes[0]),
    names: named.map(({ name = "" }) => name),
    execute(memory, workspace) {
      for (const [i, { name = "" }] of named.entries()) {
        const address = memory[name];
        if (address === undefined)
          throw new FtError("backend", `[cuda] ${name} of a plan has no memory`, "pass its address");
        pointers[i] = address;
      }
      // `values` is named here so that it lives as long as the plan
      if (values.length === 0) return;
      check("running a plan", calls.execute(cudnn.handle, plan, packOf(workspace)));
    },
  };
}

type Make = (what: string, kind: number, settings: readonly Setting[]) => bigint;

/** The descriptor of an operation. */
function settingsOf(
  operation: GraphOperation,
  make: Make,
  tensor: (of: GraphTensor) => bigint,
): { readonly kind: number; readonly settings: readonly Setting[] } {
  const optional = (name: number, of: GraphTensor | undefined): Setting[] => (of ? [link(name, tensor(of))] : []);
  switch (operation.kind) {
    case "matmul": {
      const { a, b, y, m, n, k } = operation;
      const matmul = make("matmul", descriptor.matmul, [
        [attribute.matmulCompute, attributeType.dataType, int32(dataType.f32)],
      ]);
      return {
        kind: descriptor.matmulOperation,
        settings: [
          link(attribute.matmulA, tensor(a)),
          link(attribute.matmulB, tensor(b)),
          link(attribute.matmulC, tensor(y)),
          link(attribute.matmulDescriptor, matmul),
          ...optional(attribute.matmulM, m),
          ...optional(attribute.matmulN, n),
          ...optional(attribute.matmulK, k),
        ],
      };
    }
    case "pointwise": {
      const { mode, x, y, b, t, axis, precision } = operation;
      const pointwise = make("pointwise", descriptor.pointwise, [
        [attribute.pointwiseMode, attributeType.pointwiseMode, int32(mode)],
        [attribute.pointwisePrecision, attributeType.dataType, int32(precision)],
        ...(axis === undefined ? [] : [[attribute.pointwiseAxis, attributeType.int64, int64([axis])] as const]),
      ]);
      return {
        kind: descriptor.pointwiseOperation,
        settings: [
          link(attribute.pointwiseDescriptor, pointwise),
          link(attribute.pointwiseX, tensor(x)),
          link(attribute.pointwiseY, tensor(y)),
          ...optional(attribute.pointwiseB, b),
          ...optional(attribute.pointwiseT, t),
          [attribute.pointwiseAlpha1, attributeType.float, Float32Array.of(1)],
          [attribute.pointwiseAlpha2, attributeType.float, Float32Array.of(1)],
        ],
      };
    }
    case "reduction": {
      const { operator, x, y } = operation;
      const reduction = make("reduction", descriptor.reduction, [
        [attribute.reductionCompute, attributeType.dataType, int32(dataType.f32)],
        [attribute.reductionOperator, attributeType.reductionOperator, int32(operator)],
      ]);
      return {
        kind: descriptor.reductionOperation,
        settings: [
          link(attribute.reductionDescriptor, reduction),
          link(attribute.reductionX, tensor(x)),
          link(attribute.reductionY, tensor(y)),
        ],
      };
    }
    case "reshape": {
      const { x, y } = operation;
      return {
        kind: descriptor.reshapeOperation,
        settings: [link(attribute.reshapeX, tensor(x)), link(attribute.reshapeY, tensor(y))],
      };
    }
  }
}

/** The first of the engines that the heuristics name, best first, that can be built. */
function firstPlan({ calls, check }: Cudnn, graph: bigint, create: (kind: number) => bigint, make: Make): bigint {
  const failures: string[] = [];
  const tried = <R>(fn: () => R): R | undefined => {
    try {
      return fn();
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error));
      return undefined;
    }
  };
  for (const mode of heuristicsModes) {
    const heuristics = tried(() =>
      make("heuristics", descriptor.heuristics, [
        link(attribute.heuristicsGraph, graph),
        [attribute.heuristicsMode, attributeType.heuristicsMode, int32(mode)],
      ]),
    );
    if (heuristics === undefined) continue;
    const results = (most: number, into: BigUint64Array | null): number => {
      const count = [0];
      const { heuristicsResults } = attribute;
      check("engines", calls.getAttribute(heuristics, heuristicsResults, attributeType.descriptor, most, count, into));
      return Number(count[0]);
    };
    const configurations = handles(
      Array.from({ length: results(0, null) }, () => create(descriptor.engineConfiguration)),
    );
    const count = configurations.length === 0 ? 0 : results(configurations.length, configurations);
    for (const configuration of configurations.subarray(0, count)) {
      const plan = tried(() => make("plan", descriptor.plan, [link(attribute.planConfiguration, configuration)]));
      if (plan !== undefined) return plan;
    }
  }
  throw new FtError(
    "backend",
    `[cuda] cuDNN has no engine for a graph: ${[...new Set(failures)].join("; ")}`,
    "update cuDNN",
  );
}
