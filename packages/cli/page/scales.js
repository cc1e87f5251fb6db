// Numbers of a chart: ticks, smoothing, the nearest point. Nothing here knows of a page.

/** Round numbers that cover [low, high]: steps of 1, 2 or 5 times a power of ten. */
export function ticks(low, high, count) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const rough = span / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  return multiples(low, high, step);
}

function multiples(low, high, step) {
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9) || 0; i * step <= high + step * 1e-9; i++) found.push(i * step);
  return found;
}

const clockSteps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];

/** Ticks in seconds: round minutes and hours. */
export function timeTicks(low, high, count) {
  const step = clockSteps.find((one) => (high - low) / one <= count);
  if (step === undefined) return ticks(low / 86400, high / 86400, count).map((days) => days * 86400);
  return high - low < 2 ? ticks(low, high, count) : multiples(low, high, step);
}

/** Ticks of a logarithmic axis: powers of ten, with 2 and 5 times them where there are few. */
export function logTicks(low, high) {
  const decades = Math.log10(high / low);
  const factors = decades > 3.5 ? [1] : decades > 1.2 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 7];
  const every = Math.max(1, Math.ceil(decades / 7));
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
    if (power % every === 0) for (const factor of factors) found.push(factor * 10 ** power);
  const inside = found.filter((tick) => tick >= low * 0.9999 && tick <= high * 1.0001);
  return inside.length < 2 ? ticks(low, high, 4).filter((tick) => tick > 0) : inside;
}

/**
 * Exponential moving average, corrected for its start. `weight` (0 to 1, without 1) is what a point keeps of those before it.
 * Values that are not finite are passed over.
 */
export function smooth(values, weight) {
  let sum = 0;
  let total = 0;
  return values.map((value) => {
    if (!Number.isFinite(value)) return Number.NaN;
    sum = weight * sum + (1 - weight) * value;
    total = weight * total + (1 - weight);
    return sum / total;
  });
}

/** Index of the value nearest to x in an ascending list. */
export function nearest(xs, x) {
  let low = 0;
  let high = xs.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle] < x) low = middle;
    else high = middle;
  }
  return Math.abs(xs[low] - x) <= Math.abs(xs[high] - x) ? low : high;
}

/** 0.00012 as "0.00012", 1234567 as "1.23M", 3 as "3": short, for axes and values. */
export function short(value, digits = 4) {
  if (value === 0) return "0";
  if (!Number.isFinite(value)) return "not finite";
  const size = Math.abs(value);
  for (const [unit, letter] of [
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
    [1e4, "k"],
  ])
    if (size >= unit) return `${Number((value / (letter === "k" ? 1e3 : unit)).toPrecision(digits))}${letter}`;
  if (size < 1e-4) return String(Number(value.toPrecision(digits)).toExponential()).replace("e-", "e−");
  return String(Number(value.toPrecision(digits)));
}
