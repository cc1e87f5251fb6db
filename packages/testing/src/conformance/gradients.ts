import { type Backend, FtError, Parameter, sizeOf, type Tensor } from "@ft/tensor";
import { add } from "@ft/tensor/ops";
import { checkGradient } from "../gradient-check.ts";
import { upload } from "../host.ts";
import { opCases } from "../ops/op-cases.ts";
import { project } from "../project.ts";
import { randomFrom } from "../random.ts";
import { during, lazily, type Runner } from "./runner.ts";

/**
 * Checks the gradient of every built-in op against central differences in f64, for random shapes: what all other
 * comparisons rest on. Run it once, on the reference loops.
 */
export function gradientConformance(
  makeBackend: () => Backend | Promise<Backend>,
  { shapes = 20, relative = 1e-6 }: { readonly shapes?: number; readonly relative?: number },
  runner: Runner,
): void {
  const backend = lazily(makeBackend);
  runner.describe("gradients against central differences in f64", () => {
    for (const opCase of opCases) {
      if (opCase.needs !== undefined || opCase.make(randomFrom(0), "f64", "small").differentiable.length === 0)
        continue;
      runner.it(opCase.name, async () => {
        for (let seed = 1; seed <= shapes; seed++)
          await during(`seed ${seed}`, async () => checkCase(await backend(), opCase, seed, relative));
      });
    }
  });
}

async function checkCase(
  backend: Backend,
  opCase: (typeof opCases)[number],
  seed: number,
  relative: number,
): Promise<void> {
  const { inputs, differentiable, consumes = [], call } = opCase.make(randomFrom(seed), "f64", "small");
  const held = Object.fromEntries(Object.entries(inputs).map(([name, x]) => [name, upload(backend, x)]));
  const params: { [name: string]: Parameter<"f64"> } = {};
  for (const name of differentiable) params[name] = f64Parameter(held[name]);
  const fn = (): Tensor<"f64", readonly []> => {
    const passed = Object.entries(held).map(([name, x]) => [name, consumes.includes(name) ? x.as(...x.axes) : x]);
    const losses = Object.values(call(Object.fromEntries(passed))).map((y, i) => project(y, weightsOf(y, seed, i)));
    return losses.reduce((sum, loss) => add(sum, loss));
  };
  await checkGradient(params, fn, { relative });
  for (const x of Object.values(held)) x.dispose();
}

function f64Parameter(x: Tensor | undefined): Parameter<"f64"> {
  if (x instanceof Parameter && x.dtype === "f64") return x;
  throw new FtError("dtype", `[gradientConformance] ${x} is not an f64 parameter`, "differentiable inputs are floats");
}

function weightsOf({ backend, dtype, axes, shape }: Tensor, seed: number, output: number): Tensor {
  const random = randomFrom(seed, 78 + output);
  return upload(backend, { dtype, axes, shape, values: random.list(sizeOf(shape), () => random.normal()) });
}
