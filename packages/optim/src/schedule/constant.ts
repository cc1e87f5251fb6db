import { makeSchedule, type Schedule, type ScheduleOptions } from "./schedule.ts";

/** The same rate all the way, after the warm-up: transformers' get_constant_schedule_with_warmup. */
export function constant(options: Omit<ScheduleOptions, "minRatio">): Schedule {
  return makeSchedule("constant", options, () => 1);
}
