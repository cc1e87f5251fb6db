import type { CommittedFile } from "./commit.ts";
import type { LocalFile } from "./upload-file.ts";

/** How far an upload is. Counts are bytes; what the storage had already counts as done. */
export interface UploadProgress {
  /** of all files of the commit together */
  readonly bytes: number;
  readonly size: number;
  /** bytes that went over the network in this call, those included that had to go again */
  readonly sent: number;
  /** files that are complete, and all of them; small ones are when the commit is made */
  readonly filesDone: number;
  readonly files: number;
}

export interface UploadCounter {
  /** that many more bytes of an object have gone, or fewer when a part starts again */
  moved(oid: string, bytes: number): void;
  /** the commit is made */
  finish(): void;
  sent(): number;
}

/**
 * Adds up what has gone of an upload.
 * @param objects large files by their SHA-256, once each
 * @param missing those of them that have to be sent
 */
export function uploadProgress(
  changed: readonly CommittedFile[],
  objects: ReadonlyMap<string, LocalFile>,
  missing: ReadonlyMap<string, unknown>,
  tell: (progress: UploadProgress) => void,
): UploadCounter {
  const size = changed.reduce((sum, { file }) => sum + file.size, 0);
  const toSend = new Map([...objects].filter(([oid]) => missing.has(oid)).map(([oid, file]) => [oid, file.size]));
  const small = changed.filter(({ isLarge }) => !isLarge);
  const smallBytes = small.reduce((sum, { file }) => sum + file.size, 0);
  const gone = new Map<string, number>();
  let bytes = size - smallBytes - [...toSend.values()].reduce((sum, one) => sum + one, 0);
  let filesDone = changed.length - small.length - toSend.size;
  let sent = 0;
  const say = (): void => tell({ bytes, size, sent, filesDone, files: changed.length });
  return {
    moved(oid, more) {
      const [before, whole] = [gone.get(oid) ?? 0, toSend.get(oid) ?? 0];
      gone.set(oid, before + more);
      bytes += more;
      if (more > 0) sent += more;
      if (before + more === whole) filesDone++;
      else if (before === whole && more < 0) filesDone--;
      say();
    },
    finish() {
      [bytes, filesDone] = [size, changed.length];
      say();
    },
    sent: () => sent,
  };
}
