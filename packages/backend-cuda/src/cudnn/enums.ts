/** Numbers of cuDNN's backend API that this backend uses, as its header of version 9 defines them. */

/** Kinds of descriptors. */
export const descriptor = {
  pointwise: 0,
  engineConfiguration: 3,
  heuristics: 4,
  plan: 5,
  pointwiseOperation: 13,
  operationGraph: 15,
  variantPack: 16,
  tensor: 17,
  matmul: 18,
  matmulOperation: 19,
  reduction: 21,
  reductionOperation: 22,
  reshapeOperation: 31,
} as const;

/** Types of attributes. */
export const attributeType = {
  handle: 0,
  dataType: 1,
  boolean: 2,
  int64: 3,
  float: 4,
  pointer: 6,
  heuristicsMode: 8,
  pointwiseMode: 14,
  descriptor: 15,
  reductionOperator: 18,
} as const;

/** Names of attributes. */
export const attribute = {
  pointwiseMode: 0,
  pointwisePrecision: 1,
  pointwiseAxis: 9,
  heuristicsMode: 200,
  heuristicsGraph: 201,
  heuristicsResults: 202,
  planConfiguration: 401,
  planWorkspace: 402,
  pointwiseDescriptor: 750,
  pointwiseX: 751,
  pointwiseB: 752,
  pointwiseY: 753,
  pointwiseAlpha1: 754,
  pointwiseAlpha2: 755,
  pointwiseT: 758,
  graphHandle: 800,
  graphOperations: 801,
  tensorAlignment: 900,
  tensorDataType: 901,
  tensorDimensions: 902,
  tensorStrides: 903,
  tensorId: 906,
  tensorVirtual: 907,
  tensorByValue: 908,
  tensorRagged: 913,
  packIds: 1000,
  packPointers: 1001,
  packWorkspace: 1003,
  matmulCompute: 1500,
  matmulA: 1520,
  matmulB: 1521,
  matmulC: 1522,
  matmulDescriptor: 1523,
  matmulM: 1525,
  matmulN: 1526,
  matmulK: 1527,
  reductionOperator: 1600,
  reductionCompute: 1601,
  reductionX: 1610,
  reductionY: 1611,
  reductionDescriptor: 1612,
  reshapeX: 2200,
  reshapeY: 2201,
} as const;

/** Types of elements. */
export const dataType = { f32: 0, f16: 2, i32: 4, bf16: 9, i64: 10, bool: 11 } as const;

/** What a pointwise operation does. */
export const pointwise = {
  add: 0,
  multiply: 1,
  divide: 6,
  subtract: 9,
  exp: 13,
  log: 15,
  identity: 21,
  greaterOrEqual: 303,
  less: 304,
  and: 400,
  index: 501,
  select: 601,
} as const;

/** What a reduction does. */
export const reduction = { add: 0, max: 3 } as const;

/** Where engines come from, in the order in which they are asked for: the heuristics, then whatever works. */
export const heuristicsModes: readonly number[] = [3, 2];
