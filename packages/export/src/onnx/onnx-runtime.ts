/*
 * As much of ONNX Runtime as a decoder needs, so that its packages for Node (onnxruntime-node) and for browsers (onnxruntime-web)
 * both fit and neither is a dependency.
 */

/** A tensor of ONNX Runtime; f16 is held in patterns of 16 bits. */
export interface OrtTensor {
  readonly type: string;
  readonly data: unknown;
  readonly dims: readonly number[];
}

/** A loaded model. */
export interface OrtSession {
  readonly inputMetadata: readonly OrtValue[];
  readonly outputMetadata: readonly OrtValue[];
  run(feeds: Readonly<Record<string, OrtTensor>>): Promise<Readonly<Record<string, OrtTensor>>>;
  release(): Promise<void>;
}

/** An input or output: of a tensor its dtype and its sizes, where a name stands for one that is known at run time. */
export interface OrtValue {
  readonly name: string;
  readonly type?: string;
  readonly shape?: readonly (number | string)[];
}

/** The module: `import * as ort from "onnxruntime-node"`. */
export interface OnnxRuntime {
  readonly Tensor: new (
    type: "float32" | "float16" | "int64",
    data: Float32Array | Uint16Array | BigInt64Array,
    dims: readonly number[],
  ) => OrtTensor;
  readonly InferenceSession: { create(model: string | Uint8Array, options?: object): Promise<OrtSession> };
}
