import { makeSchedule, type Schedule, type ScheduleOptions } from "./schedule.ts";

/** Half a cosine wave down to minRatio: transformers' get_cosine_schedule_with_warmup (Loshchilov and Hutter 2017, without restarts). */
export function cosine(options: ScheduleOptions): Schedule {
  return makeSchedule("cosine", options, (done, steps) => 0.5 * (1 + Math.cos((Math.PI * done) / Math.max(1, steps))));
}
