import { defineOp, type Op, run, sizeOf, type Tensor, type View } from "@ft/tensor";

type Project = {
  in: { y: View; weights: View };
  out: { loss: View };
  attrs: {};
  keeps: { weights: View };
  saved: {};
};

/** loss = Σ y∘weights, so that the gradient of y is `weights`: any gradient can be handed to an op through it. */
const projectOp: Op<Project> = defineOp<Project>({
  name: "@ft/testing/project",
  keeps: () => ({ weights: true }),
  infer: ({ in: { y } }) => ({ out: { loss: { dtype: y.dtype, shape: [] } }, saved: {} }),
  forward(p, { in: { y, weights } }) {
    const all = p.reshape(p.mul(y, weights), [sizeOf(y.shape)]);
    return { out: { loss: p.reshape(p.sum(all, 0), []) }, saved: {} };
  },
  vjp: (p, { kept: { weights }, grad: { loss } }) => ({ y: p.mul(weights, loss) }),
});

/** A scalar that depends on every element of `y`, each with a weight of its own; `weights` gets no gradient. */
export function project(y: Tensor, weights: Tensor): Tensor<any, readonly []> {
  return run(projectOp, { in: { y, weights }, attrs: {}, axes: { loss: [] } }).loss;
}
