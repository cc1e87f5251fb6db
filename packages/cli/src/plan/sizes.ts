/** 1034000000 as "1.03 GB", 650900000 as "650.9 MB": powers of 1000. */
export function size(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(2)} GB`;
  if (bytes >= 1e5) return `${(bytes / 1e6).toFixed(1)} MB`;
  return bytes === 0 ? "0" : `${(bytes / 1e3).toFixed(1)} kB`;
}
