import { FtError } from "@ft/tensor";
import { countedBody, type RequestBody } from "./body.ts";
import { eachOf } from "./each-of.ts";
import { lfsType, type Transfer } from "./lfs-batch.ts";
import { post } from "./post.ts";
import { send, textOf } from "./request.ts";
import type { HubSettings } from "./settings.ts";
import { retrying } from "./transient.ts";
import type { LocalFile } from "./upload-file.ts";
import { storageError } from "./write-error.ts";

const partsAtATime = 4;

/** Sends a file's content to the storage of large files. `report` is told how many more bytes have gone; fewer when some go again. */
export async function uploadLarge(
  file: LocalFile,
  transfer: Transfer,
  { id, settings, report }: { id: string; settings: HubSettings; report: (bytes: number) => void },
  signal: AbortSignal,
): Promise<void> {
  const what = `${file.path} for ${id}`;
  const oid = await file.sha256();
  const put = (url: string, headers: Readonly<Record<string, string>>, body: RequestBody, stop: AbortSignal) => {
    const counted = countedBody(body, report);
    const request = { url, method: "PUT", headers, body: counted, what, id, refuse: storageError } as const;
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
  const tell = (url: string, value: object) => post({ url, value, what, id, type: lfsType }, settings, signal);

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
