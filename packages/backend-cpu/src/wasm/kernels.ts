import { FtError } from "@ft/tensor";
import { type NativeKernels, prototypes } from "../native/abi.ts";
import { overwritten } from "./overwritten.ts";
import { parseSignature } from "./signature.ts";
import { type WasmFunction, type WasmInstance, wasm } from "./webassembly.ts";

type Argument = ArrayBufferView | number | null;
const alignment = 64;

/** An array of the caller and its copy in WASM memory, for one call. */
interface Operand {
  readonly bytes: Uint8Array;
  at: number;
  read: boolean;
  written: boolean;
}

/**
 * The kernels of a WASM module behind the interface of the C library. WASM sees its own memory only, so operands are copied
 * in and results out, for each call. Buffers that lived in WASM memory would save that (some 6 % of a product at K = 576),
 * at a price: memory that grows detaches every view of it, memory reserved for the worst case is refused on small
 * machines, and 4 GiB would be the limit of a whole model where it now is that of one call.
 */
export function wasmKernels({ exports }: WasmInstance): NativeKernels {
  const { memory } = exports;
  if (memory === undefined || typeof memory === "function") throw foreign("memory");
  const begin = exported(exports, "ft_begin");
  let heap = new Uint8Array(memory.buffer);
  const current = (): Uint8Array => {
    if (heap.length === 0) heap = new Uint8Array(memory.buffer); // it grew
    return heap;
  };

  const bind = (name: keyof NativeKernels, prototype: string): ((...args: Argument[]) => number | undefined) => {
    const { symbol, parameters, wideResult } = parseSignature(prototype);
    const kernel = exported(exports, symbol);
    const whole = overwritten[name] ?? [];
    const [columns, gap, beta] = ["N", "ldc", "beta"].map((label) => parameters.findIndex((p) => p.name === label));
    // a product that adds to nothing overwrites C, unless there are gaps between its rows
    const product = (args: readonly Argument[], label: string): boolean =>
      label === "C" && args[beta!] === 0 && args[columns!] === args[gap!] && name !== "gemm_batched_f32";
    return (...args) => {
      const operands: Operand[] = [];
      const places = parameters.map(({ kind, name: label }, i): Operand | undefined => {
        const value = args[i];
        if (!ArrayBuffer.isView(value)) return undefined;
        const operand = operandOf(operands, value);
        operand.written ||= kind === "out";
        operand.read ||= kind === "in" || !(whole.includes(label) || product(args, label));
        return operand;
      });
      place(operands, begin);
      for (const { bytes, at, read } of operands) if (read) current().set(bytes, at);
      const result = run(
        kernel,
        symbol,
        parameters.map(({ kind }, i) => {
          const value = places[i]?.at ?? args[i];
          if (typeof value !== "number") return 0; // a null pointer
          return kind === "wide" ? BigInt(value) : value;
        }),
      );
      const after = current();
      for (const { bytes, at, written } of operands) if (written) bytes.set(after.subarray(at, at + bytes.length));
      return wideResult || typeof result === "bigint" ? Number(result) : result;
    };
  };
  return Object.fromEntries(
    Object.entries(prototypes).map(([name, prototype]) => [name, bind(name as keyof NativeKernels, prototype)]),
  ) as unknown as NativeKernels;
}

/** The same array twice, as in-place calls give it, is one operand. */
function operandOf(operands: Operand[], view: ArrayBufferView): Operand {
  const { buffer, byteOffset, byteLength } = view;
  const known = operands.find(
    ({ bytes }) => bytes.buffer === buffer && bytes.byteOffset === byteOffset && bytes.byteLength === byteLength,
  );
  if (known) return known;
  const made = { bytes: new Uint8Array(buffer, byteOffset, byteLength), at: 0, read: false, written: false };
  operands.push(made);
  return made;
}

function place(operands: readonly Operand[], begin: WasmFunction): void {
  let total = 0;
  for (const operand of operands) {
    operand.at = total;
    total += Math.ceil(operand.bytes.length / alignment) * alignment;
  }
  const start = total < 2 ** 32 ? Number(begin(total)) >>> 0 : 0;
  if (start === 0) throw tooLarge(`operands of ${total} bytes`);
  for (const operand of operands) operand.at += start;
}

function run(kernel: WasmFunction, symbol: string, args: (number | bigint)[]): number | bigint | undefined {
  try {
    return kernel(...args);
  } catch (error) {
    // the only trap in the module is scratch that cannot be had
    if (error instanceof wasm.RuntimeError) throw tooLarge(symbol);
    throw error;
  }
}

function tooLarge(what: string): FtError {
  return new FtError(
    "backend",
    `[cpu] no WASM memory for ${what}`,
    "use smaller batches; WASM addresses 4 GiB, the native kernels all of memory",
  );
}

function exported(exports: WasmInstance["exports"], name: string): WasmFunction {
  const found = exports[name];
  if (typeof found !== "function") throw foreign(name);
  return found;
}

function foreign(name: string): FtError {
  return new FtError("backend", `[cpu] the WASM module has no ${name}`, "reinstall @ft/backend-cpu");
}
