/**
 * The 6-bit scales and minima of the 8 parts of a block of Q4_K and Q5_K, from the 12 bytes at `at`: bytes p and p + 4 hold those of part p
 * below 4; of part p from 4 on, byte p + 4 holds the low nibbles (scale below, minimum above), the upper two bits of bytes p - 4 and p the rest.
 */
export function packedScale(bytes: Uint8Array, at: number, part: number): number {
  if (part < 4) return bytes[at + part]! & 63;
  return (bytes[at + part + 4]! & 15) | ((bytes[at + part - 4]! >> 6) << 4);
}

export function packedMinimum(bytes: Uint8Array, at: number, part: number): number {
  if (part < 4) return bytes[at + part + 4]! & 63;
  return (bytes[at + part + 4]! >> 4) | ((bytes[at + part]! >> 6) << 4);
}
