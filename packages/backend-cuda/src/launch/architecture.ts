/** Machine code of these compute capabilities is built ahead; see tools/build-kernels.mjs. */
export type Architecture = "sm_80" | "sm_90a" | "sm_100a" | "sm_120a" | "compute_80";

/** What a card of this compute capability (90 for 9.0) runs: machine code made for it, else PTX that its driver compiles. */
export function architectureOf(capability: number): Architecture {
  if (capability >= 80 && capability < 90) return "sm_80";
  if (capability === 90) return "sm_90a";
  if (capability === 100) return "sm_100a";
  if (capability === 120) return "sm_120a";
  return "compute_80";
}
