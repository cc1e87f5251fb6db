import { appendFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { FtErrorCode } from "@ft/tensor";
import { describe, expect, it } from "vitest";
import { type UploadEvent, type UploadedFiles, type UploadFilesOptions, uploadFiles } from "../src/hub/upload-files.ts";
import { expectFtError, temporaryFolder } from "./fixtures.ts";
import { type PushHub, readToken, type StorageFault, startPushHub, writeToken } from "./hub-push-server.ts";
import { type Asked, type Fault, listen, refuse, sha256 } from "./hub-server.ts";
import { noise } from "./hub-support.ts";

const id = "org/pushed";
const weights = noise(1_500_000, 1);
const oid = sha256(weights);

interface Place {
  readonly hub: PushHub;
  /** weights on disk */
  readonly path: string;
  push(options?: UploadFilesOptions): Promise<UploadedFiles>;
}

async function place(): Promise<Place> {
  const hub = await startPushHub({ id, commit: "0".repeat(40), files: { ".gitattributes": "" } });
  const path = join(await temporaryFolder(), "model.safetensors");
  await writeFile(path, weights);
  const files = [
    { path: "config.json", content: Buffer.from("{}") },
    { path: "model.safetensors", content: path },
  ];
  const options = { endpoint: hub.endpoint, token: writeToken, offline: false, retryDelay: 1 };
  return { hub, path, push: (more = {}) => uploadFiles(id, files, { ...options, ...more }) };
}

/** Nothing was committed. */
function expectUntouched({ hub }: Place): void {
  expect(hub.commits).toEqual([]);
  expect(hub.models.map(({ commit, files }) => [commit, Object.keys(files)])).toEqual([
    ["0".repeat(40), [".gitattributes"]],
  ]);
}

const steps: Readonly<Record<string, (asked: Asked) => boolean>> = {
  "the listing": ({ path }) => path.includes("/revision/"),
  preupload: ({ path }) => path.includes("/preupload/"),
  "the batch": ({ path }) => path.endsWith("/objects/batch"),
  "the commit": ({ path }) => path.includes("/commit/"),
};

describe.each(Object.entries(steps))("%s", (_, isStep) => {
  const fails = async (fault: Fault, code: FtErrorCode, says: RegExp): Promise<number> => {
    const at = await place();
    at.hub.fault = (asked) => (isStep(asked) ? fault : undefined);
    await expectFtError(at.push({ retries: 2 }), code, says);
    expectUntouched(at);
    return at.hub.asked.filter(isStep).length;
  };

  it("is not repeated where the token is refused", async () => {
    expect(await fails({ status: 401 }, "config", /refuses the token \(401\).*may write.*settings\/tokens/)).toBe(1);
    const body = JSON.stringify({ error: "no rights" });
    expect(
      await fails(
        { status: 403, body },
        "config",
        /may not write to org\/pushed \(403: no rights\).*\borg\b.*organisation/,
      ),
    ).toBe(1);
  });

  it("is repeated, and the failure told when it stays", async () => {
    expect(await fails({ status: 503 }, "io", /in trouble \(503\)/)).toBe(3);
    expect(await fails({ status: 429, headers: { "retry-after": "0" } }, "io", /too many requests \(429\)/)).toBe(3);
    expect(await fails({ status: 429, headers: { "retry-after": "3600" } }, "io", /3600 s/)).toBe(1);
  });

  it("says what the hub does not accept", async () => {
    const body = JSON.stringify({ error: 'Invalid metadata in README.md: "license" must be one of' });
    await fails({ status: 400, body }, "input", /does not accept it \(400: Invalid metadata in README\.md/);
  });

  it("succeeds when the trouble passes", async () => {
    const at = await place();
    let left = 3;
    at.hub.fault = (asked) => (isStep(asked) && left-- > 0 ? { status: left === 1 ? 429 : 502 } : undefined);
    const { changed } = await at.push();
    expect([changed.length, at.hub.commits.length]).toEqual([2, 1]);
  });
});

describe("the storage", () => {
  const uploading = async (
    fault: (tries: number, upload: string) => StorageFault | undefined,
    partSize = Number.POSITIVE_INFINITY,
  ) => {
    const at = await place();
    at.hub.partSize = partSize;
    const tries = new Map<string, number>();
    at.hub.storageFault = (upload) => {
      const count = (tries.get(upload) ?? 0) + 1;
      tries.set(upload, count);
      return fault(count, upload);
    };
    return { ...at, tries };
  };

  it.each<[string, StorageFault]>([
    ["a connection that is cut", { cutAfter: 700_000 }],
    ["a 500", { status: 500 }],
    ["a stalled upload", { status: 400, body: "<Error><Code>RequestTimeout</Code></Error>" }],
    ["a 503 before anything is read", { early: 503 }],
  ])("gets the file again after %s, and progress goes back", async (_, fault) => {
    const at = await uploading((tries) => (tries <= 2 ? fault : undefined));
    const events: UploadEvent[] = [];
    const done = await at.push({ onEvent: (event) => events.push(event) });
    expect(at.tries.get(oid)).toBe(3);
    expect(at.hub.stored.get(oid)?.equals(weights)).toBe(true);
    const progress = events.flatMap((event) => (event.type === "progress" ? [event] : []));
    expect(progress.every(({ bytes, size }) => bytes <= size)).toBe(true);
    expect(progress.at(-1)).toMatchObject({ bytes: 1_500_002, size: 1_500_002, filesDone: 2 });
    if (fault.early === undefined) expect(done.sent).toBeGreaterThan(1_500_000);
  });

  it("gets only the part again that failed", async () => {
    const at = await uploading(
      (tries, upload) => (upload.endsWith(" 2") && tries <= 2 ? { cutAfter: 1000 } : undefined),
      400_000,
    );
    await at.push();
    expect([...at.tries.values()]).toEqual([1, 3, 1, 1]);
    expect(at.hub.stored.get(oid)?.equals(weights)).toBe(true);
  });

  it.each([
    [400, 1],
    [403, 2], // the link may have been too old: once more with a new one
  ])("is believed when it refuses by %d", async (status, tries) => {
    const at = await uploading(() => ({ status }));
    await expectFtError(at.push(), "io", new RegExp(`storage refuses the upload \\(${status}.*new links`));
    expect(at.tries.get(oid)).toBe(tries);
    expect(at.hub.asked.filter((asked) => steps["the batch"]?.(asked))).toHaveLength(tries);
    expectUntouched(at);
  });

  it.each([
    ["a file", Number.POSITIVE_INFINITY, oid],
    ["a file in parts", 400_000, `${oid} 3`],
  ])("gets %s by new links where those of the beginning hold no longer", async (_, partSize, refused) => {
    const at = await uploading(
      (tries, upload) => (upload === refused && tries === 1 ? { status: 403, body: "Request has expired" } : undefined),
      partSize,
    );
    const events: UploadEvent[] = [];
    await at.push({ onEvent: (event) => events.push(event) });
    expect(at.tries.get(refused)).toBe(2);
    expect(at.hub.stored.get(oid)?.equals(weights)).toBe(true);
    const progress = events.flatMap((event) => (event.type === "progress" ? [event] : []));
    expect(progress.every(({ bytes, size }) => bytes >= 0 && bytes <= size)).toBe(true);
    // before the commit, which sets it right in any case
    expect(progress.at(-2)).toMatchObject({ bytes: 1_500_000, filesDone: 1 });
  });

  it("keeps what a link's own headers authorise from where it is redirected to", async () => {
    const at = await uploading(() => undefined);
    const [heard, own] = [[] as (string | undefined)[], "Basic c3RvcmFnZQ=="];
    const elsewhere = await listen((request, response) => {
      heard.push(request.headers.authorization);
      request.resume().on("end", () => response.end());
    });
    const first = await listen((request, response) => {
      heard.push(request.headers.authorization);
      const location = request.url === "/1" ? "/2" : elsewhere;
      request.resume().on("end", () => refuse(response, { status: 307, headers: { location } }));
    });
    const upload = { href: `${first}/1`, header: { Authorization: own } };
    const body = JSON.stringify({ objects: [{ oid, size: weights.length, actions: { upload } }] });
    at.hub.fault = (asked) => (steps["the batch"]?.(asked) ? { status: 200, body } : undefined);
    // nothing has arrived where it should
    await expectFtError(at.push(), "input", /points to nothing/);
    expect(heard).toEqual([own, own, undefined]);
  });

  it("is given up on when it stays silent", async () => {
    const at = await uploading(() => ({ deaf: true }));
    await expectFtError(at.push({ timeout: 100, retries: 1 }), "io", /silent for 0\.1 s.*only what is missing/);
    expectUntouched(at);
  });

  it("has what was corrupted on the way refused by the hub", async () => {
    const at = await uploading((_, upload) => (upload.endsWith(" 3") ? { corrupt: true } : undefined), 400_000);
    await expectFtError(at.push(), "input", /checksum differs/);
    expectUntouched(at);
  });

  it("keeps what has arrived for the next attempt", async () => {
    const at = await uploading(() => undefined);
    at.hub.fault = ({ path }) => (path.includes("/commit/") ? { status: 400 } : undefined);
    await expectFtError(at.push(), "input", /does not accept/);
    at.hub.fault = () => undefined;
    expect((await at.push()).sent).toBe(0);
    expect(at.hub.uploads).toEqual([oid]);
  });
});

describe("the commit", () => {
  it("is made once, also when the answer is lost", async () => {
    const at = await place();
    at.hub.losesAnswers = 1;
    const { commit, url } = await at.push();
    expect(at.hub.commits).toHaveLength(1);
    expect([commit, url]).toEqual([at.hub.models[0]?.commit, `${at.hub.endpoint}/${id}/commit/${commit}`]);
  });

  it("is waited for longer than bytes are, and so is the end of an upload in parts", async () => {
    const at = await place();
    at.hub.partSize = 400_000;
    at.hub.ponders = 800;
    const { pullRequest } = await at.push({ createPr: true, timeout: 500 });
    expect(pullRequest).toBe(`${at.hub.endpoint}/${id}/discussions/1`);
    expect(at.hub.posts.filter(({ path }) => path.includes("/lfs/complete"))).toHaveLength(1);
  });

  it("is not made twice for a pull request whose answer is lost", async () => {
    const at = await place();
    at.hub.losesAnswers = 1;
    await expectFtError(at.push({ createPr: true }), "io", /failed.*org\/pushed\/discussions before trying again/);
    expect(at.hub.commits).toHaveLength(1);
  });

  it("does not go over what somebody else committed meanwhile", async () => {
    const at = await place();
    const theirs = { id, commit: "1".repeat(40), files: { "config.json": "theirs" } };
    at.hub.fault = ({ path }) => {
      if (path.includes("/commit/")) at.hub.models = [theirs];
      return undefined;
    };
    await expectFtError(at.push(), "io", /somebody else has changed main meanwhile/);
    expect(at.hub.models).toEqual([theirs]);
    at.hub.fault = () => undefined;
    expect((await at.push()).changed).toEqual(["config.json", "model.safetensors"]);
  });

  it("is not made of a file that was written to meanwhile", async () => {
    const at = await place();
    at.hub.storageFault = () => {
      appendFileSync(at.path, "more");
      return undefined;
    };
    await expectFtError(at.push(), "io", /was written to while it was uploaded/);
    expectUntouched(at);
  });

  it("is not made when the upload is stopped", async () => {
    const at = await place();
    const stop = new AbortController();
    at.hub.storageFault = () => ({ slow: 20 });
    const onEvent = (event: UploadEvent): void => {
      if (event.type === "progress") stop.abort(new Error("Ctrl-C"));
    };
    await expect(at.push({ onEvent, signal: stop.signal })).rejects.toThrow("Ctrl-C");
    expectUntouched(at);
  });

  it("is waited for when the stop comes after it was asked for", async () => {
    const at = await place();
    const stop = new AbortController();
    const onEvent = (event: UploadEvent): void => {
      if (event.type === "committing") stop.abort(new Error("Ctrl-C"));
    };
    const { commit } = await at.push({ onEvent, signal: stop.signal });
    expect(commit).toBe(at.hub.models[0]?.commit);
  });
});

describe("what is refused before anything is asked", () => {
  it.each<[string, string, UploadFilesOptions, FtErrorCode, RegExp]>([
    ["no token", id, { token: false }, "config", /no token to upload.*settings\/tokens.*HF_TOKEN/],
    ["the hub switched off", id, { offline: true }, "config", /switched off.*HF_HUB_OFFLINE/],
    ["an id without an account", "pushed", {}, "input", /whose repository.*ACCOUNT\/pushed/],
    ["no id at all", "a/b/c", {}, "input", /is not the id of a model/],
    ["a commit as branch", id, { revision: "1".repeat(40) }, "input", /is a commit/],
  ])("%s", async (_, name, options, code, says) => {
    const { hub } = await place();
    const files = [{ path: "x", content: Buffer.from("x") }];
    const all = { endpoint: hub.endpoint, token: writeToken, offline: false, ...options };
    await expectFtError(uploadFiles(name, files, all), code, says);
    expect(hub.asked).toEqual([]);
  });

  it.each<[string, { path: string; content: string | Uint8Array }[], FtErrorCode, RegExp]>([
    ["no files", [], "input", /no files/],
    ["a file that is not there", [{ path: "x", content: "/nowhere/x" }], "missing", /cannot read \/nowhere\/x/],
    ["a path that leads out", [{ path: "../x", content: Buffer.alloc(1) }], "input", /"\.\.\/x" is not the path/],
    ["Git's own folder", [{ path: ".git/config", content: Buffer.alloc(1) }], "input", /is not the path/],
    ["a path twice", [1, 2].map(() => ({ path: "x", content: Buffer.alloc(1) })), "input", /x is given twice/],
  ])("%s", async (_, files, code, says) => {
    const { hub } = await place();
    await expectFtError(
      uploadFiles(id, files, { endpoint: hub.endpoint, token: writeToken, offline: false }),
      code,
      says,
    );
    expect(hub.asked).toEqual([]);
  });
});

it("says that a token reads only, or that the account is another", async () => {
  const at = await place();
  await expectFtError(at.push({ token: readToken }), "config", /may not write to org\/pushed/);
  at.hub.models = [];
  await expectFtError(at.push({ token: readToken }), "config", /making org\/pushed: the token may not write/);
  const files = [{ path: "x", content: Buffer.from("x") }];
  const theirs = uploadFiles("other/model", files, { endpoint: at.hub.endpoint, token: writeToken, offline: false });
  await expectFtError(theirs, "config", /making other\/model.*other must be its account/);
});

it("takes it well when somebody else makes the repository at the same time", async () => {
  const at = await place();
  const [theirs] = at.hub.models;
  at.hub.models = [];
  at.hub.fault = ({ path }) => {
    if (path === "/api/repos/create" && theirs) at.hub.models = [theirs];
    return undefined;
  };
  expect((await at.push()).changed).toHaveLength(2);
});

it("does not believe what is no hub", async () => {
  const at = await place();
  for (const [isStep, body] of [
    [steps.preupload, '{"files":[]}'],
    [steps["the batch"], "<html>"],
    [steps["the batch"], '{"objects":[]}'],
    [steps["the batch"], JSON.stringify({ objects: [{ oid, size: 1, actions: { upload: { href: "x" } } }] })],
    [
      steps["the batch"],
      JSON.stringify({
        objects: [{ oid, size: 1, actions: { upload: { href: "http://x", header: { chunk_size: "10" } } } }],
      }),
    ],
    [steps["the commit"], "{}"],
  ] as const) {
    at.hub.fault = (asked) => (isStep?.(asked) ? { status: 200, body } : undefined);
    await expectFtError(at.push(), "format", /HF_ENDPOINT|names no commit/);
  }
  const error = { code: 507, message: "storage is full" };
  at.hub.fault = (asked) =>
    steps["the batch"]?.(asked)
      ? { status: 200, body: JSON.stringify({ objects: [{ oid, size: 1, error }] }) }
      : undefined;
  await expectFtError(at.push(), "io", /model\.safetensors: the hub does not take it \(507: storage is full\)/);
  expectUntouched(at);
});
