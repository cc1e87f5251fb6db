export * from "./dense-linear.ts";
export * from "./linear.ts";
export * from "./linear-format.ts";
export * from "./rope-frequencies.ts";
