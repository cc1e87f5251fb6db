export type { Cell, Tf, TfjsContext, TfView } from "./cell.ts";
export { createTfjsBackend, type TfjsBackend, type TfjsOptions } from "./tfjs-backend.ts";
