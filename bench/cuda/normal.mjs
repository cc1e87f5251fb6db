// Weights ~ N(0, 0.02) made where they will lie: an 8B model takes longer to send than to draw.
import { P, Temps, Tensor, windowOf, zeros } from "@ft/tensor";

/** numbers drawn at a time; the work area is a few times as large */
const piece = 2 ** 24;
const deviation = 0.02;

/** A new tensor [rows, columns] of such numbers; equal (stream, shape) give equal numbers. Box and Muller 1958. */
export function normal(backend, dtype, axes, shape, stream) {
  const made = zeros(backend, dtype, axes, shape);
  const size = shape.reduce((n, d) => n * d, 1);
  for (let start = 0, i = 0; start < size; start += piece, i++) {
    const part = windowOf(made, start, Math.min(piece, size - start));
    draw(backend, part, { seed: stream + 1, stream: i });
    part.dispose();
  }
  return made;
}

function draw(backend, into, { seed, stream }) {
  const temps = new Temps(backend);
  try {
    const p = new P(temps);
    const [count] = into.shape;
    const step = (n) => p.fill({ dtype: "i32", shape: [] }, n);
    const uniform = (n) => p.random([count], step(n), { seed, stream });
    // 1 - u lies in (0, 1]: its logarithm is finite
    const radius = p.unary("sqrt", p.mul(p.unary("log", p.sub(p.mul(uniform(0), -1), -1)), -2 * deviation ** 2));
    const values = p.mul(radius, p.unary("cos", p.mul(uniform(1), 2 * Math.PI)));
    backend.primitives.cast({ x: values }, {}, into.view);
  } finally {
    temps.free();
  }
}

/** sum of a 1-d f32 tensor, divided by its length */
export async function mean(x) {
  const temps = new Temps(x.backend);
  try {
    const p = new P(temps);
    const sum = p.reduce("sum", x.view, [0]);
    sum.storage.retain();
    const total = new Tensor(sum, "f32", ["element"]);
    const [value] = await total.read();
    total.dispose();
    return value / x.shape[0];
  } finally {
    temps.free();
  }
}

/** x - value, a new tensor */
export function minus(x, value) {
  const temps = new Temps(x.backend);
  try {
    const view = new P(temps).sub(x.view, value);
    view.storage.retain();
    return new Tensor(view, x.dtype, x.axes);
  } finally {
    temps.free();
  }
}
