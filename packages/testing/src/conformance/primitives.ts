import { type Backend, type DType, dataOf, type Spec, Storage, type View } from "@ft/tensor";
import { expectClose, numbersOf, type Tolerance } from "../close.ts";
import { encode } from "../host.ts";
import type { HostView, PrimitiveCall, PrimitiveCase } from "../primitives/primitive-cases.ts";
import { randomFrom } from "../random.ts";
import { during } from "./runner.ts";

/** Bounds for a result that is computed in f32 (f64 for f64) and rounded once. */
const tolerance: { readonly [D in DType]: Tolerance } = {
  f64: { relative: 1e-13, floor: 1, reason: "sums of up to 1,000 terms in f64" },
  f32: { relative: 2e-6, floor: 1, reason: "sums of up to 1,000 terms in f32; an erf good to 1.5e-7" },
  f16: { relative: 2 ** -11, floor: 1, reason: "one rounding to 11 bits" },
  bf16: { relative: 2 ** -8, floor: 1, reason: "one rounding to 8 bits" },
  i32: { relative: 0, reason: "exact" },
  i8: { relative: 0, reason: "exact" },
  u8: { relative: 0, reason: "exact" },
  bool: { relative: 0, reason: "exact" },
};

/** One random call of a primitive, out of place and, where the contract allows it, into the buffer of an input. */
export async function checkPrimitive(
  backend: Backend,
  { title, make }: PrimitiveCase,
  dtype: DType,
  seed: number,
): Promise<void> {
  const call = make(randomFrom(seed, 3), dtype);
  if (!dtypesOf(call).every((d) => backend.dtypes.has(d))) return;
  const aliased = backend.mutable && call.alias !== undefined ? [false, true] : [false];
  for (const alias of aliased)
    await during(`${title} ${describe(call)}${alias ? ", in place" : ""}, seed ${seed}`, async () => {
      const got = await evaluate(backend, call, alias);
      expectClose(got, call.want, call.exact ? { relative: 0, reason: "exact" } : tolerance[dtype], title);
    });
}

async function evaluate(backend: Backend, call: PrimitiveCall, alias: boolean): Promise<ArrayLike<number>> {
  const storages: Storage[] = [];
  const view = ({ dtype, shape, values }: HostView): View => {
    const storage = new Storage(backend, { dtype, shape });
    storages.push(storage);
    backend.write(storage.buffer, storage.spec, encode(dtype, values));
    return { storage, dtype, shape };
  };
  const entries = Object.entries<HostView | readonly HostView[] | number>({ ...call.inputs });
  const inputs: { [name: string]: View | View[] | number } = {};
  for (const [name, x] of entries) inputs[name] = typeof x === "number" ? x : isList(x) ? x.map(view) : view(x);
  const target = alias && call.alias !== undefined ? inputs[call.alias] : undefined;
  const out =
    target !== undefined && typeof target !== "number" && !Array.isArray(target)
      ? target
      : empty(backend, call.out, storages);
  const kernel: (inputs: any, attrs: any, out: View) => void = backend.primitives[call.name];
  kernel(inputs, call.attrs, out);
  const data = dataOf[call.out.dtype](await backend.read(out.storage.buffer, call.out));
  for (const storage of storages) storage.release();
  return numbersOf(call.out.dtype, data);
}

function empty(backend: Backend, { dtype, shape }: Spec, storages: Storage[]): View {
  const storage = new Storage(backend, { dtype, shape });
  storages.push(storage);
  return { storage, dtype, shape };
}

function isList(x: HostView | readonly HostView[]): x is readonly HostView[] {
  return Array.isArray(x);
}

function dtypesOf(call: PrimitiveCall): DType[] {
  const inputs = Object.values<HostView | readonly HostView[] | number>({ ...call.inputs });
  return [
    call.out.dtype,
    ...inputs.flatMap((x) => (typeof x === "number" ? [] : isList(x) ? x.map((y) => y.dtype) : [x.dtype])),
  ];
}

function describe(call: PrimitiveCall): string {
  const show = (x: HostView | readonly HostView[] | number): string =>
    typeof x === "number" ? `${x}` : isList(x) ? x.map(show).join(", ") : `${x.dtype} [${x.shape}]`;
  const inputs = Object.values<HostView | readonly HostView[] | number>({ ...call.inputs }).map(show);
  return `${inputs.join(", ")} ${JSON.stringify(call.attrs)} -> ${call.out.dtype} [${call.out.shape}]`;
}
