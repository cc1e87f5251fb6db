export type {
  Address,
  CardFacts,
  CudaBuffer,
  CudaContext,
  CudaView,
  Grid,
  KernelArgument,
  Operand,
  Product,
} from "./context.ts";
export { type CudaBackend, type CudaOptions, createCudaBackend } from "./cuda-backend.ts";
export { type DryCard, dryCard } from "./dry/dry-card.ts";
export { type Card, capabilityText, cudaText, type Driver, findDriver, listCards } from "./libraries/cards.ts";
export { type CudaProblem, type CudaReport, inspectCuda } from "./libraries/inspect.ts";
export { libraryCache } from "./libraries/machine.ts";
export {
  type Found,
  findLibraries,
  type Libraries,
  type Origin,
  type SearchOptions,
  type Unusable,
} from "./libraries/search.ts";
export type { CardMemoryStats } from "./memory/card-memory.ts";
export { type CardProfile, type CardTime, type CardWork, cardProfile } from "./profile/card-profile.ts";
