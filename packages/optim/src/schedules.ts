import { constant } from "./schedule/constant.ts";
import { cosine } from "./schedule/cosine.ts";
import { linear } from "./schedule/linear.ts";
import type { Schedule, ScheduleOptions } from "./schedule/schedule.ts";

/** Every schedule by name, for configuration files. */
export const schedules: { readonly [name: string]: (options: ScheduleOptions) => Schedule } = {
  constant,
  linear,
  cosine,
};
