import { closeSync, fstatSync, openSync, readSync } from "node:fs";

/** What a shared library's own header says about it. */
interface Image {
  /** as in `process.platform` */
  readonly platform: "linux" | "darwin" | "win32";
  /** as in `process.arch`, or the header's number */
  readonly arch: string;
  /** how long the file must be to hold everything its header speaks of */
  readonly bytes: number;
}

const HEADER = 16384;
const elfMachines: Record<number, string> = { 3: "ia32", 40: "arm", 62: "x64", 183: "arm64" };
const machMachines: Record<number, string> = { 16777223: "x64", 16777228: "arm64" };
const peMachines: Record<number, string> = { 332: "ia32", 34404: "x64", 43620: "arm64" };

/** ELF: the section table is the last thing in the file. */
function elf(header: Buffer): Image {
  const arch = header.readUInt16LE(18);
  const bytes = Number(header.readBigUInt64LE(40)) + header.readUInt16LE(58) * header.readUInt16LE(60);
  return { platform: "linux", arch: elfMachines[arch] ?? `machine ${arch}`, bytes };
}

/** Mach-O, 64 bits: segments say where they lie. */
function mach(header: Buffer): Image {
  const arch = header.readUInt32LE(4);
  let bytes = 0;
  for (let i = 0, at = 32; i < header.readUInt32LE(16); i++, at += header.readUInt32LE(at + 4))
    if (header.readUInt32LE(at) === 0x19)
      bytes = Math.max(bytes, Number(header.readBigUInt64LE(at + 40) + header.readBigUInt64LE(at + 48)));
  return { platform: "darwin", arch: machMachines[arch] ?? `machine ${arch}`, bytes };
}

/** PE: sections say where they lie. */
function pe(header: Buffer): Image {
  const coff = header.readUInt32LE(0x3c) + 4;
  const arch = header.readUInt16LE(coff);
  const sections = coff + 20 + header.readUInt16LE(coff + 16);
  let bytes = 0;
  for (let i = 0, at = sections; i < header.readUInt16LE(coff + 2); i++, at += 40)
    bytes = Math.max(bytes, header.readUInt32LE(at + 16) + header.readUInt32LE(at + 20));
  return { platform: "win32", arch: peMachines[arch] ?? `machine ${arch}`, bytes };
}

function parse(header: Buffer): Image | undefined {
  try {
    if (header.readUInt32BE(0) === 0x7f454c46) return elf(header);
    if (header.readUInt32LE(0) === 0xfeedfacf) return mach(header);
    if (header.readUInt16BE(0) === 0x4d5a) return pe(header);
  } catch {
    // shorter than its own header
  }
  return undefined;
}

/**
 * Why a file cannot be loaded into this process, as the rest of a sentence about it; undefined when its header shows no
 * reason. Asked before the system's loader, which says "no such file" of another machine's library and ends the process
 * at one that was cut off. Formats: the ELF, Mach-O and PE/COFF specifications.
 */
export function whyUnloadable(path: string): string | undefined {
  const header = Buffer.alloc(HEADER);
  let size: number;
  let read: number;
  try {
    const file = openSync(path, "r");
    try {
      size = fstatSync(file).size;
      read = readSync(file, header, 0, HEADER, 0);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    return `cannot be read (${error instanceof Error ? error.message : error})`;
  }
  const image = parse(header.subarray(0, read));
  if (!image) return "is not a shared library, or was cut off";
  const { platform, arch } = process;
  if (image.platform !== platform || image.arch !== arch)
    return `was built for ${image.platform} on ${image.arch}, and this is ${platform} on ${arch}`;
  if (image.bytes > size) return `was cut off: ${size} of at least ${image.bytes} bytes are there`;
  return undefined;
}
