import { check, type DriverCalls, made } from "./driver/driver.ts";
import type { KernelLibrary } from "./launch/kernel-library.ts";
import { createParameters } from "./launch/parameters.ts";

/** CUgraphNodeType */
const fillNode = 2;
const block = 256;
/** blocks of one fill at most, each of whose threads may write 16 bytes many times */
const mostBlocks = 1024;

/** CUDA_MEMSET_NODE_PARAMS: value and the size of an element share the third word */
interface Fill {
  readonly to: bigint;
  readonly pitch: number;
  /** the value over four bytes */
  readonly word: number;
  /** bytes of a row */
  readonly width: number;
  readonly rows: number;
}

/**
 * Makes kernels of the fills in a recorded graph. Libraries record fills of a few bytes before their kernels; with some
 * hundred of them the driver launches a graph piece by piece, and the host waits while the card works. A graph of kernels
 * it launches at once.
 */
export function fillsAsKernels(driver: DriverCalls, library: KernelLibrary, graph: bigint): void {
  const parameters = createParameters();
  for (const node of nodesOf(driver, graph)) {
    const type = [0];
    check("reading a graph", driver.cuGraphNodeGetType(node, type));
    if (type[0] !== fillNode) continue;
    const before = neighbours(driver.cuGraphNodeGetDependencies, node);
    const after = neighbours(driver.cuGraphNodeGetDependentNodes, node);
    if (before === undefined || after === undefined) continue;
    const { to, pitch, word, width, rows } = fillOf(driver, node);
    const { handle, types } = library.get("fill_bytes");
    parameters.pack("fill_bytes", types, [to, pitch, width, rows, word]);
    const blocks = Math.max(1, Math.min(mostBlocks, Math.ceil(width / (16 * block))));
    const launch = kernelNode(handle, [blocks, Math.min(rows, 1024)], parameters.address);
    const kernel = made("adding to a graph", driver.cuGraphAddKernelNode, graph, before, before.length, launch);
    const from = new BigUint64Array(after.length).fill(kernel);
    check("adding to a graph", driver.cuGraphAddDependencies(graph, from, after, after.length));
    check("changing a graph", driver.cuGraphDestroyNode(node));
  }
}

function nodesOf(driver: DriverCalls, graph: bigint): BigUint64Array {
  const count = [0];
  check("reading a graph", driver.cuGraphGetNodes(graph, null, count));
  const nodes = new BigUint64Array(Number(count[0]!));
  check("reading a graph", driver.cuGraphGetNodes(graph, nodes, count));
  return nodes;
}

/** What comes before or after a node; undefined where there is more to an edge than the order. */
function neighbours(call: DriverCalls["cuGraphNodeGetDependencies"], node: bigint): BigUint64Array | undefined {
  const count = [0];
  if (call(node, null, count) !== 0) return undefined;
  const found = new BigUint64Array(Number(count[0]!));
  return found.length === 0 || call(node, found, count) === 0 ? found : undefined;
}

function fillOf(driver: DriverCalls, node: bigint): Fill {
  const words = new BigUint64Array(5);
  check("reading a graph", driver.cuGraphMemsetNodeGetParams(node, words));
  const [to = 0n, pitch = 0n, packed = 0n, width = 0n, rows = 0n] = words;
  const size = Number(packed >> 32n);
  const value = Number(packed & 0xffffffffn);
  const word = size === 1 ? (value & 0xff) * 0x01010101 : size === 2 ? (value & 0xffff) * 0x00010001 : value;
  return { to, pitch: Number(pitch), word: word | 0, width: Number(width) * size, rows: Number(rows) };
}

/** CUDA_KERNEL_NODE_PARAMS of version 2 */
function kernelNode(handle: bigint, [x, y]: readonly [number, number], parameters: bigint): Uint8Array {
  const bytes = new Uint8Array(72);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, handle, true);
  for (const [i, size] of [x, y, 1, block, 1, 1, 0].entries()) view.setUint32(8 + 4 * i, size, true);
  view.setBigUint64(40, parameters, true);
  return bytes;
}
