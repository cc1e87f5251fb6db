import { createCpuBackend } from "@ft/backend-cpu";
import type { CardFacts } from "@ft/backend-cuda";
import type { Plannable } from "@ft/backend-plan";
import { forCard } from "../config/settle.ts";
import type { TrainConfig } from "../config/train-config.ts";
import { type CudaDoor, thisDoor } from "../run/open-backend.ts";
import { machineMemory, measureRates, type Rates } from "./machine.ts";

/** What a plan is made for. */
export interface PlanTarget {
  readonly name: "cpu" | "cuda";
  readonly like: Plannable<unknown>;
  /** for people */
  readonly words: string;
  /** for --json */
  readonly facts: Readonly<Record<string, string | number>>;
  readonly memory: number;
  readonly memoryNote: string;
  /** what a run takes beside what is planned; asked for after the plan */
  readonly runtime: () => number;
  readonly runtimeNote: string;
  /** measures; undefined on a card, which a plan does not open */
  readonly rates: (() => Promise<Rates>) | undefined;
}

/** Planned for where there is no card to ask. */
const assumed: CardFacts = {
  name: "NVIDIA H100 80GB HBM3",
  capability: 90,
  multiprocessors: 132,
  memory: 85_017_755_648,
};
/** What a process takes of a card before its first tensor, roughly: the driver's context, and the libraries' code. */
const contextBytes = 0.6e9;

/** The backend that a run of this configuration would take; for cuda without a card, one that is assumed. */
export async function planTarget(config: TrainConfig, door: CudaDoor = thisDoor): Promise<PlanTarget> {
  const { backend, compute, threads } = config;
  if (backend === "cuda" || (backend === "auto" && door.present())) {
    const { dryCard, inspectCuda } = await door.load();
    const report = inspectCuda();
    const card = report.cards.find(({ why }) => why === undefined);
    if (backend === "cuda" || report.usable) {
      const facts = card ? { ...assumed, ...card } : assumed;
      return {
        name: "cuda",
        like: dryCard(facts),
        words: `cuda (${facts.name}${card ? "" : ", assumed: there is no usable card here"})`,
        facts: { card: facts.name, dtype: forCard(config).dtype ?? "f32" },
        memory: facts.memory,
        memoryNote: "of the card",
        runtime: () => contextBytes,
        runtimeNote: "the driver's context and the libraries, an estimate",
        rates: undefined,
      };
    }
  }
  const cpu = await createCpuBackend({ compute, ...(threads !== undefined && { threads }) });
  return {
    name: "cpu",
    like: cpu,
    words: `cpu (${cpu.engine}, ${cpu.threads} thread${cpu.threads === 1 ? "" : "s"})`,
    facts: { engine: cpu.engine, threads: cpu.threads, compute },
    memory: machineMemory(),
    memoryNote: "of this machine",
    // this process has run the same code over buffers that hold nothing: what it takes is what the rest of a run takes
    runtime: () => process.memoryUsage().rss,
    runtimeNote: "Node and the libraries, measured",
    rates: () => measureRates(cpu),
  };
}
