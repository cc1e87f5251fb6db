import type { CudaContext } from "../context.ts";
import { check, type DriverCalls } from "../driver/driver.ts";
import type { KernelLibrary } from "./kernel-library.ts";
import { createParameters } from "./parameters.ts";

/** CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES */
const maxDynamicShared = 8;

/** The function behind `CudaContext.launch`. A grid without blocks launches nothing. */
export function createLauncher(driver: DriverCalls, library: KernelLibrary, stream: bigint): CudaContext["launch"] {
  const parameters = createParameters();
  return (name, grid, block, values, sharedBytes = 0) => {
    const kernel = library.get(name);
    const [x, y = 1, z = 1] = typeof grid === "number" ? [grid] : grid;
    if (x === 0 || y === 0 || z === 0) return;
    parameters.pack(name, kernel.types, values);
    if (sharedBytes > kernel.sharedBytes) {
      check(name, driver.cuFuncSetAttribute(kernel.handle, maxDynamicShared, sharedBytes));
      kernel.sharedBytes = sharedBytes;
    }
    const { pointers } = parameters;
    const status = driver.cuLaunchKernel(kernel.handle, x, y, z, block, 1, 1, sharedBytes, stream, pointers, null);
    if (status !== 0) check(name, status);
  };
}
