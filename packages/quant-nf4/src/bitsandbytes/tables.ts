import { type Format4bit, fp4Values, nf4Values } from "@ft/tensor/ops";

/**
 * The 16 values as bitsandbytes writes them beside a weight: its kernels have −0 for code 8 of FP4, its files 0.
 */
export const storedValues: { readonly [T in Format4bit["type"]]: Float32Array<ArrayBuffer> } = {
  nf4: nf4Values,
  fp4: fp4Values.map((value) => (value === 0 ? 0 : value)),
};

/**
 * Whether a stored table is the one that is used here. Those written on other processors differ in the last bit or two,
 * where PyTorch's linspace rounds otherwise; another table is off by far more.
 */
export function sameTable(stored: Float32Array, table: Float32Array): boolean {
  return (
    stored.length === table.length &&
    stored.every((value, i) => Math.abs(value - table[i]!) <= 1e-6 * Math.abs(table[i]!))
  );
}
