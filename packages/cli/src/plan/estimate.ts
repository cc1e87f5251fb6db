import type { Rates } from "./machine.ts";
import type { MemoryPlan } from "./plan-memory.ts";
import type { PlanTarget } from "./target.ts";

/** The largest moment of a run beside the runtime. */
export function largestMoment({ loading, step, saving }: MemoryPlan): {
  readonly name: "loading" | "a step" | "saving";
  readonly bytes: number;
} {
  if (step >= loading && step >= saving) return { name: "a step", bytes: step };
  return loading >= saving ? { name: "loading", bytes: loading } : { name: "saving", bytes: saving };
}

/** Planned sizes as lines of a table, in the order in which they add up to a step. */
export function rowsOf(
  plan: MemoryPlan,
  runtime: number,
  placement: "device" | "host" | "file",
  { name, runtimeNote }: Pick<PlanTarget, "name" | "runtimeNote">,
): readonly { readonly name: string; readonly bytes: number; readonly note: string }[] {
  const where = {
    device: "with the weights",
    host: name === "cuda" ? "in host memory, not part of the sum" : "in host memory",
    file: "in a file, not part of the sum",
  }[placement];
  return [
    { name: "weights", bytes: plan.weights, note: "" },
    { name: "adapters", bytes: plan.adapters, note: "" },
    { name: "gradients", bytes: plan.gradients, note: "" },
    { name: "optimizer", bytes: plan.optimizer, note: where },
    { name: "activations", bytes: plan.activations, note: "at the largest moment of a step" },
    { name: "reuse", bytes: plan.reuse, note: "buffers that are free at that moment and kept" },
    { name: "workspace", bytes: plan.workspace, note: "what kernels work in" },
    { name: "runtime", bytes: runtime, note: runtimeNote },
  ];
}

/** How long a step takes at these rates. */
export function secondsOf(plan: MemoryPlan, rates: Rates): number {
  return plan.flops / rates.flops + plan.bytes / rates.bytes;
}

/** 5025 seconds as "1 h 24 min". */
export function duration(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
