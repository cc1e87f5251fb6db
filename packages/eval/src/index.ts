export { type Accumulator, accumulate, customMetric, type Metric, type MetricState } from "./metric.ts";
