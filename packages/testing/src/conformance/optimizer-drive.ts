import {
  type Backend,
  type FloatDType,
  FtError,
  Parameter,
  scope,
  type Tensor,
  type WideDType,
  wideOf,
} from "@ft/tensor";
import { type HostTensor, numbers, upload } from "../host.ts";

type Slots = { readonly [slot: string]: Tensor };
type Role = "matrix" | "vector" | "embedding" | "head" | "adapter";
interface Place {
  readonly name: string;
  readonly role: Role;
  readonly param: Tensor<FloatDType>;
}

/** The Optimizer contract of @ft/optim as its users see it. */
export interface OptimizerLike {
  readonly name: string;
  init(at: Place): Slots;
  scalars(at: { readonly step: number; readonly lr: number }): { readonly [name: string]: number };
  step(
    at: Place & {
      readonly grad: Tensor;
      readonly slots: Slots;
      readonly scalars: { readonly [name: string]: Tensor<WideDType, readonly []> };
    },
  ): { readonly param: Tensor<FloatDType>; readonly slots: Slots };
}

/** A parameter on its way: its value and slots on the host, with which any later step can start. */
export interface Point {
  readonly param: HostTensor;
  readonly slots: { readonly [slot: string]: HostTensor };
}

export const roles: readonly Role[] = ["matrix", "vector", "embedding", "head", "adapter"];

/** The value and slots of a fresh parameter. */
export async function startOf(
  optimizer: OptimizerLike,
  backend: Backend,
  param: HostTensor,
  role: Role,
): Promise<Point> {
  const live = floating(upload(backend, param));
  const slots = optimizer.init({ name: "w", role, param: live });
  const at = { param: await download(live), slots: await downloadAll(slots) };
  for (const x of [live, ...Object.values(slots)]) x.dispose();
  return at;
}

/**
 * One step from host values to host values. With `held`, somebody else holds param and slots too, so that nothing may be
 * overwritten; what they are afterwards comes back as `before`, as does the gradient.
 */
export async function stepOnce(
  optimizer: OptimizerLike,
  backend: Backend,
  at: Point & { readonly grad: ArrayLike<number>; readonly role: Role; readonly step: number; readonly lr: number },
  held = false,
): Promise<{ readonly after: Point; readonly before: Point; readonly grad: ArrayLike<number> }> {
  const param = floating(upload(backend, at.param));
  const slots = mapValues(at.slots, (x) => upload(backend, x));
  const grad = upload(backend, { ...at.param, values: at.grad });
  const wide = wideOf(param.dtype);
  const scalars = mapValues(optimizer.scalars({ step: at.step, lr: at.lr }), (value) =>
    scalarOf(upload(backend, { dtype: wide, axes: [], shape: [], values: [value] })),
  );
  const copies = held ? [param, ...Object.values(slots)].map((x) => x.as(...x.axes)) : [];
  const next = scope(() => optimizer.step({ name: "w", role: at.role, param, grad, slots, scalars }));
  const after = { param: await download(next.param), slots: await downloadAll(next.slots) };
  const before = { param: await download(param), slots: await downloadAll(slots) };
  const left = await numbers(grad);
  const made = [next.param, ...Object.values(next.slots)];
  const inputs = [param, ...Object.values(slots), grad, ...Object.values(scalars)];
  for (const x of new Set([...made, ...inputs, ...copies])) x.dispose();
  return { after, before, grad: left };
}

async function download(x: Tensor): Promise<HostTensor> {
  return { dtype: x.dtype, axes: x.axes, shape: x.shape, values: await numbers(x) };
}

async function downloadAll(slots: Slots): Promise<{ [slot: string]: HostTensor }> {
  const out: { [slot: string]: HostTensor } = {};
  for (const [slot, x] of Object.entries(slots)) out[slot] = await download(x);
  return out;
}

function mapValues<V, W>(record: { readonly [name: string]: V }, fn: (value: V) => W): { [name: string]: W } {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, fn(value)]));
}

function floating(x: Tensor): Parameter {
  if (x instanceof Parameter) return x;
  throw new FtError("dtype", `[optimizerConformance] ${x} is no float`, "parameters are floats");
}

function scalarOf(x: Tensor<any>): Tensor<WideDType, readonly []> {
  return x;
}
