/** File name of the shared library on a platform (`process.platform` when absent). */
export function libraryName(platform?: string): string;

/** Names the C interface: a hash over the declarations of kernels/ft.h. */
export function abi(): string;
