import { FtError } from "@ft/tensor";
import { type Refusal, said, statusError } from "./status-error.ts";
import { Transient } from "./transient.ts";

/** What a refusal means for what is written to the hub. */
export function writeError(refusal: Refusal): FtError | Transient {
  const { answer, text, what, id, endpoint } = refusal;
  const { status } = answer;
  const tokens = `${endpoint}/settings/tokens`;
  if (status === 401)
    return new FtError(
      "config",
      `${what}: the hub refuses the token (401)`,
      `make one that may write at ${tokens} and set HF_TOKEN to it`,
    );
  if (status === 403)
    return new FtError(
      "config",
      `${what}: the token may not write to ${id} (403${said(answer, text)})`,
      `give the token of HF_TOKEN the right to write at ${tokens}; ${id.split("/")[0]} must be its account or an organisation of it`,
    );
  if (status >= 400 && status < 500 && status !== 404 && status !== 408 && status !== 429)
    return new FtError(
      "input",
      `${what}: the hub does not accept it (${status}${said(answer, text)})`,
      `change what it complains about; the repository is at ${endpoint}/${id}`,
    );
  return statusError(refusal);
}

/** What a refusal of the storage means, whose links are made for one upload and hold for a time. */
export function storageError(refusal: Refusal): FtError | Transient {
  const { answer, text, what } = refusal;
  const { status } = answer;
  // S3 answers so when nothing came for a while
  if (status === 400 && text.includes("RequestTimeout"))
    return new Transient(new FtError("io", `${what}: the storage waited in vain (400)`, "check the network"));
  if (status >= 400 && status < 500 && status !== 408 && status !== 429)
    return new FtError(
      "io",
      `${what}: the storage refuses the upload (${status}${said(answer, text)})`,
      "the same again asks for new links and sends only what is missing",
    );
  return statusError(refusal);
}
