import { readdir } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { FtError, type FtErrorCode } from "@ft/tensor";
import { describe, expect, it } from "vitest";
import { type SnapshotDownloadOptions, snapshotDownload } from "../src/hub/snapshot-download.ts";
import { canMount, expectFtError, temporaryFolder, tinyDisk } from "./fixtures.ts";
import { type Asked, type Fault, startHub } from "./hub-server.ts";
import { local, someModel } from "./hub-support.ts";

const model = someModel();
const { id } = model;
const isApi = ({ path }: Asked): boolean => path.startsWith("/api/");
const isConfig = ({ path }: Asked): boolean => path.endsWith("/config.json");

interface Case {
  readonly what: string;
  readonly where: (asked: Asked) => boolean;
  readonly fault: Fault;
  readonly options?: SnapshotDownloadOptions;
  readonly code: FtErrorCode;
  readonly says: RegExp;
}

const refusals: readonly Case[] = [
  {
    what: "401 without a token",
    where: isApi,
    fault: { status: 401 },
    code: "missing",
    says: /does not exist, or is private or gated \(401\).*HF_TOKEN.*licence/,
  },
  {
    what: "401 with a token",
    where: isApi,
    fault: { status: 401 },
    options: { token: "hf_old" },
    code: "config",
    says: /refuses the token.*settings\/tokens/,
  },
  {
    what: "a gated model",
    where: isConfig,
    fault: { status: 403, headers: { "x-error-code": "GatedRepo" } },
    options: { token: "hf_mine" },
    code: "config",
    says: /config\.json of some-org.*gated.*accept its licence at http.*Some\.Model-1b/,
  },
  {
    what: "403 with the hub's reason",
    where: isApi,
    fault: { status: 403, body: '{"error":"fine-grained token without read"}' },
    options: { token: "hf_mine" },
    code: "config",
    says: /403: fine-grained token without read/,
  },
  {
    what: "429",
    where: isApi,
    fault: { status: 429 },
    code: "io",
    says: /too many requests \(429\).*HF_TOKEN set the limit/,
  },
  {
    what: "429 for longer than a minute",
    where: isApi,
    fault: { status: 429, headers: { "retry-after": "300" } },
    code: "io",
    says: /try again in 300 s/,
  },
  { what: "503", where: isConfig, fault: { status: 503 }, code: "io", says: /config\.json of .* in trouble \(503\)/ },
  { what: "418", where: isApi, fault: { status: 418 }, code: "io", says: /answers 418/ },
  {
    what: "a redirect in circles",
    where: isApi,
    fault: { status: 302, headers: { location: "?again" } },
    code: "io",
    says: /redirects in circles/,
  },
  {
    what: "a redirect to a file",
    where: isApi,
    fault: { status: 302, headers: { location: "file:///etc/passwd" } },
    code: "io",
    says: /redirects to "file/,
  },
  { what: "a web page", where: isApi, fault: { status: 200, body: "<html>" }, code: "format", says: /is not JSON/ },
  { what: "another API", where: isApi, fault: { status: 200, body: "{}" }, code: "format", says: /names no commit/ },
];

describe("an answer of the hub that says no", () => {
  it.each(refusals)("$what", async ({ where, fault, options, code, says }) => {
    const hub = await startHub(model);
    hub.fault = (asked) => (where(asked) ? fault : undefined);
    const download = snapshotDownload(id, local(hub, await temporaryFolder(), { retries: 2, ...options }));
    await expectFtError(download, code, says);
    const passing = [429, 503].includes(fault.status ?? 0) && fault.headers === undefined;
    if (fault.status !== 302) expect(hub.asked.filter(where).length).toBe(passing ? 3 : 1);
  });

  it("that there is no such model, or no such revision", async () => {
    const options = local(await startHub(model), await temporaryFolder());
    await expectFtError(
      snapshotDownload("some-org/other", options),
      "missing",
      /no model some-org\/other.*check the id/,
    );
    const revision = snapshotDownload(id, { ...options, revision: "v9" });
    await expectFtError(revision, "missing", /1b at v9: there is no such revision.*tree\/main/);
  });

  it.each([{ "retry-after": "1" }, { ratelimit: '"api";r=0;t=1' }])(
    "to come later, which it does: %o",
    async (headers) => {
      const hub = await startHub(model);
      let n = 0;
      hub.fault = (asked) => (isApi(asked) && n++ === 0 ? { status: 429, headers } : undefined);
      const begun = performance.now();
      await snapshotDownload(id, local(hub, await temporaryFolder()));
      expect(performance.now() - begun).toBeGreaterThan(990);
    },
  );
});

describe("a hub that is not there", () => {
  const options = { token: false, retryDelay: 1, retries: 2, offline: false } as const;

  it("is said at once, with its name", async () => {
    const closed = createServer();
    await new Promise<void>((ready) => closed.listen(0, "127.0.0.1", ready));
    const address = closed.address();
    const port = typeof address === "object" ? address?.port : 0;
    await new Promise((done) => closed.close(done));
    const download = snapshotDownload(id, { ...options, retries: 50, endpoint: `http://127.0.0.1:${port}` });
    await expectFtError(download, "io", /connection to 127\.0\.0\.1:\d+ failed \(ECONNREFUSED\).*HF_HUB_OFFLINE=1/);
    const nowhere = snapshotDownload(id, { ...options, endpoint: "http://hub.invalid" });
    await expectFtError(nowhere, "io", /connection to hub\.invalid failed \((ENOTFOUND|EAI_AGAIN)\)/);
  });

  it.each(["huggingface.co", "ftp://hub", "http://a:b@hub", ""])("an address %j that is none", async (endpoint) => {
    await expectFtError(snapshotDownload(id, { ...options, endpoint }), "config", /address.*HF_ENDPOINT/);
  });
});

describe("wrong content", () => {
  it.each(["config.json", "model-00001-of-00002.safetensors"])("of %s is removed and named", async (path) => {
    const [hub, cacheDir] = [await startHub(model), await temporaryFolder()];
    hub.fault = (asked) => (decodeURIComponent(asked.path).includes(path) ? { corrupt: true } : undefined);
    const options = local(hub, cacheDir, { allowPatterns: [path] });
    const kind = path === "config.json" ? "Git SHA-1" : "SHA-256";
    const says = new RegExp(`${path.replaceAll(".", "\\.")} of some-org.* ${kind} [0-9a-f]+; it was removed`);
    await expectFtError(snapshotDownload(id, options), "format", says);
    expect(await readdir(join(cacheDir, "models--some-org--Some.Model-1b", "blobs"))).toEqual([]);
  });

  it("longer than announced is as wrong", async () => {
    const [hub, cacheDir] = [await startHub(model), await temporaryFolder()];
    const longer = Buffer.concat([Buffer.from(model.files["config.json"] ?? ""), Buffer.from("more")]).toString();
    hub.fault = (asked) => (isConfig(asked) ? { status: 200, body: longer } : undefined);
    await expectFtError(snapshotDownload(id, local(hub, cacheDir)), "format", /config\.json of .*it was removed/);
  });

  it.each(["../../evil", "/etc/evil", "a//b", "a\\..\\b", "C:evil", "a/../../b"])(
    "a path %j is refused",
    async (path) => {
      const [hub, cacheDir] = [await startHub(model), await temporaryFolder()];
      hub.models = [someModel({ files: { [path]: "x" } })];
      await expectFtError(snapshotDownload(id, local(hub, cacheDir)), "format", /could lead out of the cache/);
      expect(await readdir(cacheDir)).toEqual([]);
    },
  );
});

describe("bad requests", () => {
  it.each(["", "a/b/c", "a--b", "../b", "a/..", "a b", "a/b.git", "-a", "a/b?x", "a\0b"])("id %j", async (bad) => {
    await expectFtError(snapshotDownload(bad, { endpoint: "http://127.0.0.1:1" }), "input", /not the id of a model/);
  });

  it("a pasted address is understood", async () => {
    const pasted = snapshotDownload("https://huggingface.co/some-org/Some.Model-1b/tree/main");
    await expectFtError(pasted, "input", /did you mean some-org\/Some\.Model-1b\?/);
  });

  it.each(["", "..", "a/../b", "/a", "a//b", "a b", "-x", "x.lock"])("revision %j", async (revision) => {
    await expectFtError(snapshotDownload(id, { revision, endpoint: "http://127.0.0.1:1" }), "input", /not a revision/);
  });

  it("a token that is none, without telling it", async () => {
    const error: unknown = await snapshotDownload(id, { token: "hf_a\nb" }).catch((thrown: unknown) => thrown);
    if (!FtError.is(error)) throw error;
    expect([error.code, error.message]).toEqual(["config", expect.not.stringContaining("hf_a")]);
  });
});

describe("a full disk", () => {
  it.skipIf(!canMount)("is seen before the download, with what is missing", async () => {
    const [hub, cacheDir] = [await startHub(model), await tinyDisk()];
    const says = /needs 401\.1 kB more and 65\.5 kB are free in .*HF_HUB_CACHE/;
    await expectFtError(snapshotDownload(id, local(hub, cacheDir)), "io", says);
    expect(hub.fetched).toEqual([]);
  });

  it.skipIf(!canMount)("that fills up on the way leaves nothing broken", async () => {
    const [hub, cacheDir] = [await startHub(model), await tinyDisk()];
    // two downloads that fit alone and not together
    const files = { "a.bin": Buffer.alloc(40_000, 1), "b.bin": Buffer.alloc(40_000, 2) };
    hub.models = [someModel({ files })];
    hub.fault = ({ at }) => (at === "cdn" ? { slow: 20 } : undefined);
    const both = await Promise.allSettled(
      ["a.bin", "b.bin"].map((path) => snapshotDownload(id, local(hub, cacheDir, { allowPatterns: [path] }))),
    );
    const failed = both.filter((one) => one.status === "rejected");
    expect(failed.length).toBeGreaterThan(0);
    for (const { reason } of failed)
      await expectFtError(Promise.reject(reason), "io", /no longer fits in .*HF_HUB_CACHE/);
  });
});
