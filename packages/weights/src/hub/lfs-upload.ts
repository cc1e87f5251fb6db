import { FtError } from "@ft/tensor";
import { countedBody, type RequestBody } from "./body.ts";
import { eachOf } from "./each-of.ts";
import { lfsType, type Transfer } from "./lfs-batch.ts";
import { longAnswer, post } from "./post.ts";
import { send, textOf } from "./request.ts";
import type { HubSettings } from "./settings.ts";
import { retrying } from "./transient.ts";
import type { LocalFile } from "./upload-file.ts";
import { storageError } from "./write-error.ts";

const partsAtATime = 4;

/** Where a file is sent for, and who is told. */
export interface LargeUpload {
  readonly id: string;
  readonly settings: HubSettings;
  /** how many more bytes have gone; fewer when some go again */
  readonly report: (bytes: number) => void;
  /** asks anew where the file goes; undefined when the storage has it by now */
  readonly renew: () => Promise<Transfer | undefined>;
}

/**
 * Sends a file's content to the storage of large files. Its links hold for a time and were asked for before other files went: where it
 * refuses one, new ones are asked for, once.
 */
export async function uploadLarge(
  file: LocalFile,
  transfer: Transfer,
  upload: LargeUpload,
  signal: AbortSignal,
): Promise<void> {
  let gone = 0;
  let refused = false;
  const report = (bytes: number): void => {
    gone += bytes;
    upload.report(bytes);
  };
  const refuse: typeof storageError = (refusal) => {
    refused ||= refusal.answer.status === 403;
    return storageError(refusal);
  };
  try {
    await sendAll(file, transfer, { ...upload, report, refuse }, signal);
  } catch (error) {
    if (!refused || signal.aborted) throw error;
    const renewed = await upload.renew();
    if (renewed === undefined) return;
    // parts that have arrived belong to the old links
    upload.report(-gone);
    await sendAll(file, renewed, { ...upload, refuse: storageError }, signal);
  }
}

/** Sends it by one set of links. */
async function sendAll(
  file: LocalFile,
  transfer: Transfer,
  { id, settings, report, refuse }: Omit<LargeUpload, "renew"> & { readonly refuse: typeof storageError },
  signal: AbortSignal,
): Promise<void> {
  const what = `${file.path} for ${id}`;
  const oid = await file.sha256();
  const put = (url: string, headers: Readonly<Record<string, string>>, body: RequestBody, stop: AbortSignal) => {
    const counted = countedBody(body, report);
    const request = { url, method: "PUT", headers, body: counted, what, id, refuse } as const;
    return retrying(
      async () => {
        const answer = await send(request, settings, stop);
        await textOf(answer);
        return answer.header("etag");
      },
      settings,
      stop,
    );
  };
  const tell = (url: string, value: object) =>
    post({ url, value, what, id, type: lfsType, answerWithin: longAnswer }, settings, signal);

  if (transfer.kind === "basic") await put(transfer.url, transfer.headers, file.body(0, file.size), signal);
  else {
    const { parts, partSize, completion } = transfer;
    const ranges = parts.map((url, i) => ({ url, start: i * partSize, end: Math.min(file.size, (i + 1) * partSize) }));
    const etags = await eachOf(ranges, partsAtATime, signal, async ({ url, start, end }, stop) => {
      const etag = await put(url, {}, file.body(start, end), stop);
      if (etag === undefined || etag === "")
        throw new FtError("format", `${what}: the storage names no etag of a part`, "check HF_ENDPOINT");
      return etag;
    });
    await tell(completion, { oid, parts: etags.map((etag, i) => ({ partNumber: i + 1, etag })) });
  }
  if (transfer.verify !== undefined) await tell(transfer.verify, { oid, size: file.size });
}
