import { FtError } from "@ft/tensor";
import koffi from "koffi";
import { driverError } from "./errors.ts";

/** Every call of the CUDA driver API that this backend makes, as C declares it. Handles and device addresses are integers. */
const prototypes = {
  cuInit: "int cuInit(unsigned int flags)",
  cuDriverGetVersion: "int cuDriverGetVersion(_Out_ int *version)",
  cuDeviceGetCount: "int cuDeviceGetCount(_Out_ int *count)",
  cuDeviceGet: "int cuDeviceGet(_Out_ int *device, int ordinal)",
  cuDeviceGetName: "int cuDeviceGetName(void *name, int length, int device)",
  cuDeviceTotalMem: "int cuDeviceTotalMem_v2(_Out_ size_t *bytes, int device)",
  cuDeviceGetAttribute: "int cuDeviceGetAttribute(_Out_ int *value, int attribute, int device)",
  cuDevicePrimaryCtxRetain: "int cuDevicePrimaryCtxRetain(_Out_ uint64_t *context, int device)",
  cuDevicePrimaryCtxRelease: "int cuDevicePrimaryCtxRelease_v2(int device)",
  cuCtxSetCurrent: "int cuCtxSetCurrent(uint64_t context)",
  cuMemGetInfo: "int cuMemGetInfo_v2(_Out_ size_t *free, _Out_ size_t *total)",
  cuStreamCreate: "int cuStreamCreate(_Out_ uint64_t *stream, unsigned int flags)",
  cuStreamDestroy: "int cuStreamDestroy_v2(uint64_t stream)",
  cuStreamSynchronize: "int cuStreamSynchronize(uint64_t stream)",
  cuStreamWaitEvent: "int cuStreamWaitEvent(uint64_t stream, uint64_t event, unsigned int flags)",
  cuStreamBeginCapture: "int cuStreamBeginCapture_v2(uint64_t stream, int mode)",
  cuStreamEndCapture: "int cuStreamEndCapture(uint64_t stream, _Out_ uint64_t *graph)",
  cuGraphInstantiate: "int cuGraphInstantiateWithFlags(_Out_ uint64_t *exec, uint64_t graph, unsigned long long flags)",
  cuGraphGetNodes: "int cuGraphGetNodes(uint64_t graph, void *nodes, _Inout_ size_t *count)",
  cuGraphNodeGetType: "int cuGraphNodeGetType(uint64_t node, _Out_ int *type)",
  cuGraphNodeGetDependencies: "int cuGraphNodeGetDependencies(uint64_t node, void *nodes, _Inout_ size_t *count)",
  cuGraphNodeGetDependentNodes: "int cuGraphNodeGetDependentNodes(uint64_t node, void *nodes, _Inout_ size_t *count)",
  cuGraphMemsetNodeGetParams: "int cuGraphMemsetNodeGetParams(uint64_t node, void *parameters)",
  cuGraphAddKernelNode:
    "int cuGraphAddKernelNode_v2(_Out_ uint64_t *node, uint64_t graph, void *before, size_t count, void *parameters)",
  cuGraphAddDependencies: "int cuGraphAddDependencies(uint64_t graph, void *from, void *to, size_t count)",
  cuGraphDestroyNode: "int cuGraphDestroyNode(uint64_t node)",
  cuGraphLaunch: "int cuGraphLaunch(uint64_t exec, uint64_t stream)",
  cuGraphDestroy: "int cuGraphDestroy(uint64_t graph)",
  cuGraphExecDestroy: "int cuGraphExecDestroy(uint64_t exec)",
  cuEventCreate: "int cuEventCreate(_Out_ uint64_t *event, unsigned int flags)",
  cuEventDestroy: "int cuEventDestroy_v2(uint64_t event)",
  cuEventRecord: "int cuEventRecord(uint64_t event, uint64_t stream)",
  cuEventSynchronize: "int cuEventSynchronize(uint64_t event)",
  cuEventElapsedTime: "int cuEventElapsedTime(_Out_ float *milliseconds, uint64_t from, uint64_t to)",
  cuModuleLoadData: "int cuModuleLoadData(_Out_ uint64_t *module, void *image)",
  cuModuleGetFunction: "int cuModuleGetFunction(_Out_ uint64_t *function, uint64_t module, const char *name)",
  cuModuleUnload: "int cuModuleUnload(uint64_t module)",
  cuFuncSetAttribute: "int cuFuncSetAttribute(uint64_t function, int attribute, int value)",
  cuLaunchKernel:
    "int cuLaunchKernel(uint64_t function, unsigned int gx, unsigned int gy, unsigned int gz, unsigned int bx, unsigned int by, unsigned int bz, unsigned int shared, uint64_t stream, void *parameters, void *extra)",
  cuMemAlloc: "int cuMemAlloc_v2(_Out_ uint64_t *address, size_t bytes)",
  cuMemFree: "int cuMemFree_v2(uint64_t address)",
  cuMemHostAlloc: "int cuMemHostAlloc(_Out_ uint64_t *pointer, size_t bytes, unsigned int flags)",
  cuMemFreeHost: "int cuMemFreeHost(uint64_t pointer)",
  cuMemcpyHtoDAsync: "int cuMemcpyHtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, uint64_t stream)",
  cuMemcpyDtoHAsync: "int cuMemcpyDtoHAsync_v2(uint64_t to, uint64_t from, size_t bytes, uint64_t stream)",
  cuMemcpyDtoDAsync: "int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, uint64_t stream)",
  cuMemsetD8Async: "int cuMemsetD8Async(uint64_t to, uint8_t value, size_t bytes, uint64_t stream)",
  cuMemAddressReserve:
    "int cuMemAddressReserve(_Out_ uint64_t *address, size_t bytes, size_t alignment, uint64_t at, unsigned long long flags)",
  cuMemAddressFree: "int cuMemAddressFree(uint64_t address, size_t bytes)",
  cuMemGetAllocationGranularity: "int cuMemGetAllocationGranularity(_Out_ size_t *bytes, void *properties, int option)",
  cuMemCreate: "int cuMemCreate(_Out_ uint64_t *handle, size_t bytes, void *properties, unsigned long long flags)",
  cuMemRelease: "int cuMemRelease(uint64_t handle)",
  cuMemMap: "int cuMemMap(uint64_t address, size_t bytes, size_t offset, uint64_t handle, unsigned long long flags)",
  cuMemUnmap: "int cuMemUnmap(uint64_t address, size_t bytes)",
  cuMemSetAccess: "int cuMemSetAccess(uint64_t address, size_t bytes, void *access, size_t count)",
} as const;

type Argument = bigint | number | string | ArrayBufferView | bigint[] | number[] | null;
type Call = (...values: Argument[]) => number;

/** The driver's functions; each returns its status. */
export type DriverCalls = { readonly [K in keyof typeof prototypes]: Call };

const libraryNames: Partial<Record<NodeJS.Platform, string>> = { win32: "nvcuda.dll" };
let loaded: DriverCalls | undefined;

/** The driver, loaded once per process. Throws code "backend" when there is none, or when it does not start. */
export function loadDriver(): DriverCalls {
  if (loaded) return loaded;
  const name = libraryNames[process.platform] ?? "libcuda.so.1";
  let calls: DriverCalls;
  try {
    const library = koffi.load(name);
    calls = Object.fromEntries(
      Object.entries(prototypes).map(([key, prototype]) => [key, library.func(prototype)]),
    ) as unknown as DriverCalls;
  } catch (cause) {
    throw new FtError(
      "backend",
      `[cuda] there is no NVIDIA driver here: ${name} cannot be loaded`,
      "install NVIDIA's driver, or use the backend cpu",
      { cause },
    );
  }
  check("cuInit", calls.cuInit(0));
  loaded = calls;
  return calls;
}

/** Throws what a status means; 0 is success. */
export function check(what: string, status: number): void {
  if (status !== 0) throw driverError(what, status);
}

/** The handle or address that a call writes to its first parameter. */
export function made(what: string, call: Call, ...values: Argument[]): bigint {
  const out = [0n];
  check(what, call(out, ...values));
  return BigInt(out[0]!);
}

/** The number that a call writes to its first parameter. */
export function told(what: string, call: Call, ...values: Argument[]): number {
  const out = [0];
  check(what, call(out, ...values));
  return Number(out[0]!);
}
