export {
  createPlanBackend,
  type PlanBackend,
  type PlannedMemory,
  type PlannedWork,
  type PlanOptions,
} from "./plan-backend.ts";
export type { DryRun, Plannable, PlannedCall } from "./plannable.ts";
export { plannedArray } from "./planned-array.ts";
