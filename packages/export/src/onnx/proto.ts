/*
 * ModelProto of ONNX in the wire format of Protocol Buffers, as far as a decoder needs it: field numbers of onnx.proto, IR version 8.
 * Weights are always external, so that a message is small whatever the model's size.
 */

/** TensorProto.DataType of the dtypes in use. */
export const elementTypes = { f32: 1, u8: 2, i8: 3, i32: 6, i64: 7, bool: 9, f16: 10 } as const;
export type OnnxDType = keyof typeof elementTypes;

/** A constant: its little-endian bytes in the message, or a place in a file beside it. */
export interface OnnxTensor {
  readonly name: string;
  readonly dtype: OnnxDType;
  readonly dims: readonly number[];
  readonly data: Uint8Array | { readonly location: string; readonly offset: number; readonly length: number };
}

/** An input or output of the graph; a name stands for a size that is known at run time. */
export interface OnnxValue {
  readonly name: string;
  readonly dtype: OnnxDType;
  readonly dims: readonly (number | string)[];
}

/** One operation; "" among the inputs stands for one that is left out. */
export interface OnnxNode {
  readonly op: string;
  /** "" for the operators of ONNX itself */
  readonly domain: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: OnnxAttributes;
}

/** Integers, lists of integers, or `{ f }` for a float. */
export type OnnxAttributes = Readonly<Record<string, number | readonly number[] | { readonly f: number }>>;

export interface OnnxModel {
  /** the program that made it */
  readonly producer: string;
  /** version of the operators, by domain */
  readonly opsets: ReadonlyMap<string, number>;
  readonly graph: {
    readonly name: string;
    /** in an order in which they can be computed */
    readonly nodes: readonly OnnxNode[];
    readonly initializers: readonly OnnxTensor[];
    readonly inputs: readonly OnnxValue[];
    readonly outputs: readonly OnnxValue[];
  };
}

const irVersion = 8;

/** The bytes of a model file. Source: onnx.proto; Protocol Buffers' encoding. */
export function encodeModel({ producer, opsets, graph }: OnnxModel): Uint8Array {
  return message(
    integer(1, irVersion),
    text(2, producer),
    nested(
      7,
      ...graph.nodes.map((node) => nested(1, ...nodeFields(node))),
      text(2, graph.name),
      ...graph.initializers.map((tensor) => nested(5, ...tensorFields(tensor))),
      ...graph.inputs.map((value) => nested(11, ...valueFields(value))),
      ...graph.outputs.map((value) => nested(12, ...valueFields(value))),
    ),
    ...[...opsets].map(([domain, version]) => nested(8, text(1, domain), integer(2, version))),
  );
}

function nodeFields({ op, domain, name, inputs, outputs, attributes }: OnnxNode): Field[] {
  return [
    ...inputs.map((input) => text(1, input)),
    ...outputs.map((output) => text(2, output)),
    text(3, name),
    text(4, op),
    ...Object.entries(attributes).map(([key, value]) => nested(5, text(1, key), ...attributeFields(value))),
    ...(domain === "" ? [] : [text(7, domain)]),
  ];
}

function attributeFields(value: OnnxAttributes[string]): Field[] {
  if (typeof value === "number") return [integer(3, value), integer(20, 2)];
  if ("f" in value) return [float(2, value.f), integer(20, 1)];
  return [...value.map((item) => integer(8, item)), integer(20, 7)];
}

function tensorFields({ name, dtype, dims, data }: OnnxTensor): Field[] {
  const common = [...dims.map((size) => integer(1, size)), integer(2, elementTypes[dtype]), text(8, name)];
  if (data instanceof Uint8Array) return [...common, bytes(9, data)];
  const entry = (key: string, value: string | number): Field => nested(13, text(1, key), text(2, String(value)));
  const { location, offset, length } = data;
  return [...common, entry("location", location), entry("offset", offset), entry("length", length), integer(14, 1)];
}

function valueFields({ name, dtype, dims }: OnnxValue): Field[] {
  const shape = dims.map((size) => nested(1, typeof size === "number" ? integer(1, size) : text(2, size)));
  return [text(1, name), nested(2, nested(1, integer(1, elementTypes[dtype]), nested(2, ...shape)))];
}

/** One encoded field, key included. */
type Field = Uint8Array;

const message = (...fields: readonly Field[]): Uint8Array => Buffer.concat(fields);
const integer = (field: number, value: number): Field => message(varint(field * 8), varint(value));
const bytes = (field: number, value: Uint8Array): Field => message(varint(field * 8 + 2), varint(value.length), value);
const text = (field: number, value: string): Field => bytes(field, Buffer.from(value));
const nested = (field: number, ...fields: readonly Field[]): Field => bytes(field, message(...fields));

function float(field: number, value: number): Field {
  const data = Buffer.alloc(4);
  data.writeFloatLE(value);
  return message(varint(field * 8 + 5), data);
}

/** Seven bits a byte, lowest first; negative numbers as 64 bits of two's complement. */
function varint(value: number): Uint8Array {
  const out: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 127n; rest >>= 7n) out.push(Number(rest & 127n) | 128);
  out.push(Number(rest));
  return Uint8Array.from(out);
}
