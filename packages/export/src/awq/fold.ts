import type { HostLinear } from "./block-weights.ts";

/** Divides a vector, such as the weight of a norm, in place. */
export function divideVector(weight: Float32Array, scales: Float32Array): void {
  for (let i = 0; i < weight.length; i++) weight[i]! /= scales[i]!;
}

/** Divides the outputs of a layer, its rows and its bias, in place. */
export function divideRows({ shape: [, inputs], weight, bias }: HostLinear, scales: Float32Array): void {
  for (let i = 0; i < weight.length; i++) weight[i]! /= scales[Math.floor(i / inputs)]!;
  if (bias) divideVector(bias, scales);
}

/** Multiplies the inputs of a layer, its columns, in place. */
export function multiplyColumns({ shape: [, inputs], weight }: HostLinear, scales: Float32Array): void {
  for (let i = 0; i < weight.length; i++) weight[i]! *= scales[i % inputs]!;
}
