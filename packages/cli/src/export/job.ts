import type { SaveDType } from "@ft/models";
import type { Backend } from "@ft/tensor";
import type { Io } from "../io.ts";
import { parseMemory } from "../plan/machine.ts";
import type { MergeBase, Opened } from "./opened.ts";

/** What `ft export` and `ft merge` were asked, beside the target. */
export interface ExportFlags {
  readonly model: string;
  readonly out: string;
  readonly adapter?: string;
  readonly base: MergeBase;
  readonly anyBase?: boolean;
  readonly check: boolean;
  readonly type?: string;
  readonly shardSize?: string;
  readonly dtype?: SaveDType;
  readonly blockSize?: number;
  /** bnb: false keeps the scales of the blocks in f32 */
  readonly doubleQuant: boolean;
  readonly computeDtype?: SaveDType;
  /** rows to measure on, and to calibrate on */
  readonly data?: string;
  /** awq: weights that share a scale */
  readonly groupSize?: number;
  readonly calibrationRows?: number;
  readonly threads?: number;
}

/** What an exporter of the command is given. */
export interface ExportJob {
  readonly opened: Opened;
  readonly flags: ExportFlags;
  /** one of the target's types, where it has any */
  readonly type: string;
  /** all that were asked for, of a target that takes several */
  readonly types: readonly string[];
  /** the base as it was named */
  readonly named: string;
  /** the base's id, where it is a model of the hub */
  readonly hubId?: string;
  readonly backend: Backend;
  readonly io: Io;
  readonly signal: AbortSignal;
}

/** --shard-size in bytes. Code "config" where it is no size. */
export function shardSizeOf({ shardSize }: ExportFlags): number | undefined {
  return shardSize === undefined ? undefined : parseMemory(shardSize, "--shard-size");
}

/** What a card says of an adapter that was merged; nothing where there is none. */
export function mergedInto({ opened, flags }: ExportJob): string {
  return opened.adapter === undefined ? "" : `, adapter merged into the base as ${flags.base}`;
}
