import { makeSchedule, type Schedule, type ScheduleOptions } from "./schedule.ts";

/** Falls in a straight line to minRatio, reached one step after the last: transformers' get_linear_schedule_with_warmup. */
export function linear(options: ScheduleOptions): Schedule {
  return makeSchedule("linear", options, (done, steps) => (steps - done) / Math.max(1, steps));
}
