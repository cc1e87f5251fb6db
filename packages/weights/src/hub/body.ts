import { createReadStream } from "node:fs";
import type { ClientRequest } from "node:http";
import { FtError } from "@ft/tensor";
import { ioError } from "../io-error.ts";

/** What a request sends. */
export interface RequestBody {
  /** bytes */
  readonly length: number;
  /** the same bytes each time: a request may have to be made again */
  pieces(): AsyncIterable<Uint8Array>;
}

const pieceBytes = 2 ** 18;

/** Bytes that are in memory. */
export function bytesBody(bytes: Uint8Array): RequestBody {
  return {
    length: bytes.length,
    async *pieces() {
      for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
    },
  };
}

export function jsonBody(value: unknown): RequestBody {
  return bytesBody(Buffer.from(JSON.stringify(value)));
}

/** Bytes `start` up to `end` of a file, read as they are sent. Code "io" when the file has become shorter. */
export function fileBody(path: string, start: number, end: number): RequestBody {
  return {
    length: end - start,
    async *pieces() {
      if (end === start) return;
      let left = end - start;
      try {
        for await (const piece of createReadStream(path, { start, end: end - 1, highWaterMark: pieceBytes })) {
          left -= piece.length;
          yield piece;
        }
      } catch (error) {
        throw ioError(error, "read", path);
      }
      if (left > 0) throw new FtError("io", `${path} became shorter while it was sent`, "send it when it is finished");
    },
  };
}

/** The same body; `report` is told how many more bytes have gone, or how many have gone in vain when it is sent again. */
export function countedBody(body: RequestBody, report: (bytes: number) => void): RequestBody {
  let went = 0;
  return {
    length: body.length,
    async *pieces() {
      if (went > 0) report(-went);
      went = 0;
      for await (const piece of body.pieces()) {
        yield piece;
        // asked for the next one: this one has gone
        went += piece.length;
        report(piece.length);
      }
    },
  };
}

/**
 * Sends a body, each piece when the one before has left this process, and ends the request. Stops when the connection closes; the
 * request itself says why. `moved` is called after every piece. Throws what reading the body throws.
 */
export async function transmit(body: RequestBody, sent: ClientRequest, moved: () => void): Promise<void> {
  for await (const piece of body.pieces()) {
    if (!(await written(piece, sent))) return;
    moved();
  }
  sent.end();
}

function written(piece: Uint8Array, sent: ClientRequest): Promise<boolean> {
  return new Promise((resolve) => {
    const closed = (): void => resolve(false);
    if (sent.destroyed) return closed();
    sent.once("close", closed);
    sent.write(piece, (error) => {
      sent.off("close", closed);
      resolve(!error);
    });
  });
}
