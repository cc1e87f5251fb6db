import type { DType } from "@ft/tensor";
import type { Product } from "../context.ts";
import type { CublasLt } from "./abi.ts";

/** How a pretended library answers. */
export interface FakeAnswers {
  /** how many algorithms it has for any product; 1 */
  readonly algorithms?: number;
  /** status of the search for algorithms; 0 */
  readonly heuristic?: number;
  /** status of a product by the number of its algorithm, from 1; 0 */
  readonly multiply?: (algorithm: number) => number;
}

/** A cuBLASLt without a card, for tests: notes what it is told; an algorithm's bytes are its number. */
export function fakeLibrary(answers: FakeAnswers = {}): { readonly lt: CublasLt; readonly said: string[] } {
  const said: string[] = [];
  let handles = 0n;
  const numberIn = (value: unknown): string => {
    if (!ArrayBuffer.isView(value)) return String(value);
    const { buffer, byteOffset, byteLength } = value;
    const data = new DataView(buffer, byteOffset, byteLength);
    return String(byteLength === 8 ? data.getBigInt64(0, true) : data.getInt32(0, true));
  };
  const handle = (out: unknown): number => {
    if (Array.isArray(out)) out[0] = ++handles;
    return 0;
  };
  const note = (what: string): number => {
    said.push(what);
    return 0;
  };
  const lt: CublasLt = {
    create: handle,
    destroy: () => note("destroy"),
    destroyProduct: () => note("destroy product"),
    destroyLayout: () => note("destroy layout"),
    createProduct(out, compute, scale) {
      note(`product compute ${compute} scale ${scale}`);
      return handle(out);
    },
    setProduct: (_, which, value) => note(`product ${which} = ${numberIn(value)}`),
    createLayout(out, type, rows, columns, ld) {
      note(`layout type ${type}: ${rows} x ${columns}, ld ${ld}`);
      return handle(out);
    },
    setLayout: (_, which, value) => note(`layout ${which} = ${numberIn(value)}`),
    createPreference: handle,
    destroyPreference: () => 0,
    setPreference: (_, which, value) => note(`preference ${which} = ${numberIn(value)}`),
    heuristic(...values) {
      const [wanted, results, found] = values.slice(7);
      const count = Math.min(Number(wanted), answers.algorithms ?? 1);
      if (results instanceof Uint8Array) for (let i = 0; i < count; i++) results.fill(i + 1, i * 96, i * 96 + 64);
      if (Array.isArray(found)) found[0] = count;
      return answers.heuristic ?? 0;
    },
    multiply(...values) {
      const [alpha, beta, algorithm] = [values[2], values[7], values[12]];
      const scale = (of: unknown): unknown => (of instanceof Float32Array || of instanceof Float64Array ? of[0] : of);
      const by = algorithm instanceof Uint8Array ? algorithm[0]! : 0;
      note(
        `multiply ${values[3]} by ${values[5]} to ${values[10]}, alpha ${scale(alpha)}, beta ${scale(beta)}, algorithm ${by}`,
      );
      return answers.multiply?.(by) ?? 0;
    },
  };
  return { lt, said };
}

/** [5, 7] · [7, 3] to f32. */
export function productOf(dtype: DType): Product {
  const [a, b] = [
    { at: 256n, dtype, ld: 7 },
    { at: 512n, dtype, ld: 3 },
  ];
  return { m: 5, n: 3, k: 7, a, b, out: { at: 1024n, dtype: "f32", ld: 3 } };
}
