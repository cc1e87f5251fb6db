import { FtError } from "@ft/tensor";
import { randomFrom } from "@ft/testing";
import { expect, it } from "vitest";
import { JsonReader } from "./json-reader.ts";

const reader = (text: string | Uint8Array) =>
  new JsonReader(typeof text === "string" ? Buffer.from(text) : text, (what) => new FtError("format", what, "fix it"));

/** Whether the reader accepts a text as one value. */
function accepts(text: string): boolean {
  try {
    const r = reader(text);
    r.skip();
    r.end();
    return true;
  } catch (error) {
    if (FtError.is(error)) return false;
    throw error;
  }
}

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

it("accepts what JSON.parse accepts, but no duplicate keys, over 30,000 mutations", () => {
  const seeds = [
    '{"a":[1,-2.5e+3,true,null,"x\\u00e9\\n"],"b":{"c":""}}',
    "[]",
    '  {"k" : [ [ ] , { } ] }\n',
    '"日本"',
    "-0.1e-7",
  ];
  const marks = [...'{}[]":,\\ \t\n0123456789.eE+-truefalsnu', "é", "\u0000", '"a":'];
  const random = randomFrom(11);
  let accepted = 0;
  for (let i = 0; i < 30_000; i++) {
    let text = random.pick(seeds);
    for (let n = random.int(0, 3); n > 0; n--) {
      const at = random.int(0, text.length);
      text = text.slice(0, at) + (random.chance(0.6) ? random.pick(marks) : "") + text.slice(at + random.int(0, 2));
    }
    const same = accepts(text) === parses(text);
    const duplicate = () => /duplicate key/.test(String(errorOf(text)));
    expect(same || duplicate(), JSON.stringify(text)).toBe(true);
    if (accepts(text)) accepted++;
  }
  expect(accepted).toBeGreaterThan(3_000); // otherwise the mutations are too wild to say anything
});

function errorOf(text: string): unknown {
  try {
    const r = reader(text);
    r.skip();
    r.end();
  } catch (error) {
    return error;
  }
  return undefined;
}

it("reads by what is expected", () => {
  const r = reader('{"a\\"\\u0041日": [0, 9007199254740991], "s": "x"}');
  const seen: unknown[] = [];
  r.object((key) => {
    seen.push(key);
    if (key === "s") seen.push(r.string());
    else r.array(() => seen.push(r.integer()));
  });
  r.end();
  expect(seen).toEqual(['a"A日', 0, 2 ** 53 - 1, "s", "x"]);
});

it.each(["9007199254740992", "-1", "1.0", "1e3", "01", '"1"', "", "99999999999999999999999999"])(
  "takes %j for no whole number",
  (text) => {
    expect(() => reader(text).integer()).toThrow(FtError);
  },
);

it("refuses deep nesting before the stack ends", () => {
  expect(String(errorOf("[".repeat(100_000)))).toMatch(/deeper than 64/);
  expect(String(errorOf('{"a":'.repeat(100_000)))).toMatch(/deeper than 64/);
});

it("refuses text that is not UTF-8", () => {
  expect(() => reader(Uint8Array.of(0x22, 0xc3, 0x28, 0x22)).string()).toThrow(/malformed string/);
});
