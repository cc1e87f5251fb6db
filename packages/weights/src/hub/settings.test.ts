import { writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { temporaryFolder } from "../../test/fixtures.ts";
import { hubSettings } from "./settings.ts";

it("has huggingface_hub's defaults", () => {
  const cacheDir = join(homedir(), ".cache", "huggingface", "hub");
  expect(hubSettings({ token: false }, {})).toMatchObject({
    endpoint: "https://huggingface.co",
    cacheDir,
    offline: false,
  });
});

it.each([
  [{ HF_HOME: "/h" }, join("/h", "hub")],
  [{ XDG_CACHE_HOME: "/x" }, join("/x", "huggingface", "hub")],
  [{ HF_HOME: "/h", HF_HUB_CACHE: "/c" }, "/c"],
  [{ HUGGINGFACE_HUB_CACHE: "/old" }, "/old"],
  [{ HF_HUB_CACHE: "~/c" }, join(homedir(), "c")],
  [{ HF_HUB_CACHE: "" }, join(homedir(), ".cache", "huggingface", "hub")],
])("finds the cache from %o", (env, cacheDir) => {
  expect(hubSettings({ token: false }, env).cacheDir).toBe(cacheDir);
  expect(hubSettings({ token: false, cacheDir: "/option" }, env).cacheDir).toBe("/option");
});

it("takes the token of the option, the variable, or the file that a login leaves", async () => {
  const home = await temporaryFolder();
  const env = { HF_HOME: home };
  expect(hubSettings({}, env).token).toBeUndefined();
  await writeFile(join(home, "token"), "hf_file\n");
  expect(hubSettings({}, env).token).toBe("hf_file");
  expect(hubSettings({}, { ...env, HF_TOKEN: "hf_variable" }).token).toBe("hf_variable");
  expect(hubSettings({ token: "hf_option" }, { ...env, HF_TOKEN: "hf_variable" }).token).toBe("hf_option");
  expect(hubSettings({ token: false }, { ...env, HF_TOKEN: "hf_variable" }).token).toBeUndefined();
});

it("reads the switches", () => {
  const of = (env: Record<string, string>): object => hubSettings({ token: false }, env);
  for (const yes of ["1", "ON", "yes", "True"]) expect(of({ HF_HUB_OFFLINE: yes })).toMatchObject({ offline: true });
  for (const no of ["0", "", "false"]) expect(of({ HF_HUB_OFFLINE: no })).toMatchObject({ offline: false });
  expect(of({ HF_ENDPOINT: "https://mirror.example/" })).toMatchObject({ endpoint: "https://mirror.example" });
  expect(of({ HF_HUB_DOWNLOAD_TIMEOUT: "2.5" })).toMatchObject({ timeout: 2500 });
});
