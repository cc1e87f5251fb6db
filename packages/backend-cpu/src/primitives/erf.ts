/**
 * The error function, 2/√π ∫₀ˣ e^(-t²) dt, to double precision.
 * Abramowitz and Stegun 7.1.6 (a series of positive terms, so nothing cancels) below 3, the continued fraction 7.1.14 for
 * its complement above.
 */
export function erf(x: number): number {
  const z = Math.abs(x);
  if (!(z < 6)) return Number.isNaN(x) ? x : Math.sign(x); // 1 - erf(6) is 2e-17
  const square = z * z;
  let value: number;
  if (z < 3) {
    let term = z;
    let sum = z;
    for (let n = 1; term > sum * 1e-17; n++) {
      term *= (2 * square) / (2 * n + 1);
      sum += term;
    }
    value = (2 / Math.sqrt(Math.PI)) * Math.exp(-square) * sum;
  } else {
    let fraction = z;
    for (let n = 40; n > 0; n--) fraction = z + n / 2 / fraction;
    value = 1 - Math.exp(-square) / (Math.sqrt(Math.PI) * fraction);
  }
  return x < 0 ? -value : value;
}
