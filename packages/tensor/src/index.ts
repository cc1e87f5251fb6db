export type {
  Backend,
  BinaryKind,
  CompareKind,
  Graphs,
  Parked,
  PrimitiveKernels,
  Primitives,
  ReduceKind,
  UnaryKind,
  View,
} from "./backend.ts";
export * from "./dtype.ts";
export * from "./error.ts";
export * from "./halves.ts";
export { type MemoryStats, memory, Storage, Temps } from "./memory.ts";
export * from "./op.ts";
export * from "./philox.ts";
export { fromPieces, readAhead, takesPieces } from "./pieces.ts";
export { P } from "./prims.ts";
export { Replay } from "./replay.ts";
export { type Call, type Results, run, type Tensors } from "./run.ts";
export { scope } from "./scope.ts";
export { type CheckpointOptions, checkpoint, type ValueAndGrad, valueAndGrad } from "./tape.ts";
export {
  type Axes,
  type HostData,
  Parameter,
  parameter,
  scalar,
  Tensor,
  tensor,
  toParameter,
  unwritten,
  zeros,
} from "./tensor.ts";
export { copyInto, hasWindows, putInto, readPieces, windowElements, windowOf, writeInto } from "./window.ts";
