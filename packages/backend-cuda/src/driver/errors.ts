import { FtError } from "@ft/tensor";

/** Names of statuses of the CUDA driver API, from its header. */
const names: { readonly [status: number]: string } = {
  1: "INVALID_VALUE",
  2: "OUT_OF_MEMORY",
  3: "NOT_INITIALIZED",
  4: "DEINITIALIZED",
  34: "STUB_LIBRARY",
  46: "DEVICE_UNAVAILABLE",
  100: "NO_DEVICE",
  101: "INVALID_DEVICE",
  200: "INVALID_IMAGE",
  201: "INVALID_CONTEXT",
  209: "NO_BINARY_FOR_GPU",
  214: "ECC_UNCORRECTABLE",
  218: "INVALID_PTX",
  220: "NVLINK_UNCORRECTABLE",
  222: "UNSUPPORTED_PTX_VERSION",
  226: "CONTAINED",
  400: "INVALID_HANDLE",
  500: "NOT_FOUND",
  600: "NOT_READY",
  700: "ILLEGAL_ADDRESS",
  701: "LAUNCH_OUT_OF_RESOURCES",
  702: "LAUNCH_TIMEOUT",
  714: "HARDWARE_STACK_ERROR",
  715: "ILLEGAL_INSTRUCTION",
  716: "MISALIGNED_ADDRESS",
  717: "INVALID_ADDRESS_SPACE",
  718: "INVALID_PC",
  719: "LAUNCH_FAILED",
  800: "NOT_PERMITTED",
  801: "NOT_SUPPORTED",
  802: "SYSTEM_NOT_READY",
  803: "SYSTEM_DRIVER_MISMATCH",
  804: "COMPAT_NOT_SUPPORTED_ON_DEVICE",
  900: "STREAM_CAPTURE_UNSUPPORTED",
  901: "STREAM_CAPTURE_INVALIDATED",
  904: "STREAM_CAPTURE_UNJOINED",
  905: "STREAM_CAPTURE_ISOLATION",
  906: "STREAM_CAPTURE_IMPLICIT",
  907: "CAPTURED_EVENT",
  999: "UNKNOWN",
};

/** After these the card, or this process's hold on it, is gone: nothing more can be computed. */
const lost: ReadonlySet<number> = new Set([46, 201, 214, 220, 226, 702, 714, 999]);
/** A kernel did what it must not: the fault is ours, and sticks to the process. */
const faults: ReadonlySet<number> = new Set([700, 715, 716, 717, 718, 719]);

/** A status of the driver as an error that says what to do. */
export function driverError(what: string, status: number): FtError {
  const name = `CUDA_ERROR_${names[status] ?? "?"} (${status})`;
  const said = `[cuda] ${what}: ${name}`;
  if (status === 2)
    return new FtError(
      "backend",
      `[cuda] ${what}: the card has no memory left`,
      "use smaller or shorter batches, gradient checkpointing or QLoRA; `ft plan` shows what fits",
    );
  if (lost.has(status))
    return new FtError(
      "backend",
      `${said}: the card was lost`,
      "look at nvidia-smi and the system's log; then resume from the last checkpoint",
    );
  if (faults.has(status))
    return new FtError(
      "backend",
      `${said}: a kernel failed, and the card takes no more work from this process`,
      "resume from the last checkpoint; please report it with the model's shape and the batch size",
    );
  if (status === 100)
    return new FtError(
      "backend",
      `[cuda] the driver shows no card (${name})`,
      "look at CUDA_VISIBLE_DEVICES and nvidia-smi, or use the backend cpu",
    );
  if (status === 101)
    return new FtError(
      "backend",
      `${said}: there is no such NVIDIA card here`,
      "use the backend cpu, or another device",
    );
  if (status === 34 || status === 803 || status === 804 || status === 802)
    return new FtError("backend", `${said}: the driver does not work`, "reinstall NVIDIA's driver, then restart");
  if (status === 209 || status === 218 || status === 222)
    return new FtError(
      "backend",
      `${said}: this card or driver cannot run the kernels`,
      "a card of compute capability 8.0 or newer and a driver for CUDA 12 or newer are needed",
    );
  return new FtError("backend", said, "please report it with the output of `ft doctor`");
}
