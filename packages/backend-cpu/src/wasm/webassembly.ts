/* The part of the WebAssembly API in use: without the DOM's declarations TypeScript does not know it. */

export interface WasmMemory {
  readonly buffer: ArrayBuffer;
}
/** A function of the module; int64 is BigInt on both sides. */
export type WasmFunction = (...args: (number | bigint)[]) => number | bigint | undefined;
export interface WasmInstance {
  readonly exports: Readonly<Record<string, WasmFunction | WasmMemory | undefined>>;
}
interface WasmApi {
  compile(bytes: ArrayBuffer | Uint8Array<ArrayBuffer>): Promise<object>;
  instantiate(module: object): Promise<WasmInstance>;
  readonly RuntimeError: new () => Error;
}

export const wasm: WasmApi = Reflect.get(globalThis, "WebAssembly");
