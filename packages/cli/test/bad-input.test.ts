import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { expectRefusal, type Setup, setup } from "./refusal.ts";
import { ft, type Ran } from "./run-ft.ts";
import { tinyModel } from "./tiny-model.ts";

const train = ({ model, data, out }: Setup, ...more: string[]): Promise<Ran> =>
  ft("train", "--model", model, "--data", data, "--out", out, "--max-steps", "4", "--batch-size", "4", ...more);

const refused = (ran: Ran, message: RegExp, at: Setup): void => expectRefusal(ran, message, at.out);

describe("ft train refuses", () => {
  it("a model that is not there", async () => {
    const at = await setup();
    refused(
      await train({ ...at, model: join(at.folder, "nowhere") }),
      /no model at .*nowhere[\s\S]*give a model folder/,
      at,
    );
  });

  it.skipIf(existsSync("/dev/nvidiactl"))(
    "the backend cuda without a card: what is missing, and the alternative",
    async () => {
      const at = await setup();
      refused(await train(at, "--backend", "cuda"), /backend cuda cannot be used here: .*driver[\s\S]*backend cpu/, at);
    },
  );

  it("weights that end too early", async () => {
    const at = await setup();
    await truncate(join(at.model, "model.safetensors"), 20_000);
    refused(await train(at), /model\.safetensors/, at);
  });

  it("a file that only calls itself .gguf", async () => {
    const at = await setup();
    await writeFile(join(at.folder, "x.gguf"), "GGUF\u0003\u0000\u0000\u0000hello");
    refused(await train({ ...at, model: join(at.folder, "x.gguf") }), /x\.gguf/, at);
  });

  it("an architecture it does not know", async () => {
    const at = await setup();
    await writeFile(join(at.model, "config.json"), JSON.stringify({ model_type: "mamba" }));
    refused(await train(at), /config\.json: model_type "mamba" is not supported[\s\S]*llama/, at);
  });

  it("weights of other sizes than the config says", async () => {
    const at = await setup();
    const config = JSON.parse(await readFile(join(at.model, "config.json"), "utf8"));
    await writeFile(join(at.model, "config.json"), JSON.stringify({ ...config, intermediate_size: 64 }));
    refused(await train(at), /gate_proj\.weight" is 48×32, not 64×32/, at);
  });

  it("a config of more layers than the weights have", async () => {
    const at = await setup();
    const config = JSON.parse(await readFile(join(at.model, "config.json"), "utf8"));
    await writeFile(join(at.model, "config.json"), JSON.stringify({ ...config, num_hidden_layers: 3 }));
    refused(await train(at), /9 weights are missing \(model\.layers\.2\./, at);
  });

  it("a tokenizer with more tokens than the model", async () => {
    const at = await setup();
    const smaller = await tinyModel(join(at.folder, "smaller"), { vocab_size: 80 });
    refused(await train({ ...at, model: smaller }), /tokenizer has ids up to 99.*80 rows/, at);
  });

  it.each([
    ["rows.json", "[{", /row 1 of .*rows\.json: broken JSON/],
    ["rows.json", "", /rows\.json: is empty/],
    ["rows.json", "[]", /rows\.json: holds no row/],
    ["rows.json", '[{"instruction": "a", "output": "b"}, {"instruction": "a"}]', /row 2 of .*rows\.json.*output/],
    ["rows.jsonl", '{"instruction": "a", "output": "b"}\n{"instruction": 3, "output": "b"}', /row 2 of .*instruction/],
    ["rows.jsonl", '{"messages": [{"role": "narrator", "content": "a"}]}', /row 1 of .*narrator/],
    ["rows.csv", "a,b", /rows\.csv.*(ending|format)/],
  ])("%s holding %j", async (name, text, message) => {
    const at = await setup();
    await writeFile(join(at.folder, name), text);
    refused(await train({ ...at, data: join(at.folder, name) }), message, at);
  });

  it("a row with no answer left, by name", async () => {
    const at = await setup();
    refused(
      await train(at, "--max-length", "6", "--validation-fraction", "0"),
      /row 1 of .*no answer left within 6 tokens[\s\S]*drop/,
      at,
    );
  });

  it("a flag it does not know, with a suggestion", async () => {
    const at = await setup();
    refused(await train(at, "--learning-rat", "1"), /unknown option '--learning-rat'[\s\S]*--learning-rate/, at);
  });

  it("a key it does not know, with a suggestion", async () => {
    const at = await setup();
    await writeFile(join(at.folder, "run.yaml"), "learnig_rate: 2e-5\n");
    const ran = await ft("train", join(at.folder, "run.yaml"), "--model", at.model, "--data", at.data, "--out", at.out);
    refused(ran, /run\.yaml: unknown key "learnig_rate"\n.*did you mean "learning/, at);
  });

  it("a value of the wrong kind, by key", async () => {
    const at = await setup();
    await writeFile(join(at.folder, "run.yaml"), "learningRate: fast\n");
    const ran = await ft("train", join(at.folder, "run.yaml"), "--model", at.model, "--data", at.data, "--out", at.out);
    refused(ran, /run\.yaml: learningRate .*number/, at);
  });

  it("every key it does not know at once, with suggestions", async () => {
    const at = await setup();
    await writeFile(join(at.folder, "run.yaml"), "learnRate: 1\nbatchsize: 4\nxyzzy: 1\n");
    const ran = await ft("train", join(at.folder, "run.yaml"), "--model", at.model, "--data", at.data, "--out", at.out);
    refused(ran, /unknown keys "learnRate", "batchsize", "xyzzy"\n.*did you mean "learningRate", "batchSize"\?/, at);
  });

  it.each([
    ["run.yaml", "constructor: 1\n", /run\.yaml: unknown key "constructor"/],
    ["run.yaml", "toString: 1\n", /run\.yaml: unknown key "toString"/],
    ["run.json", '{"__proto__": {"model": "x"}}', /run\.json: unknown key "__proto__"/],
    ["run.yaml", "lora_r: 4\nlora: {r: 8}\n", /run\.yaml gives lora\.r twice, once as lora\b/],
    ["run.yaml", "lora_r: 4\nlora_rank: 8\n", /run\.yaml gives lora\.r twice, once as lora_rank/],
    ["run.yaml", "max_steps: 4\nmaxSteps: 8\n", /run\.yaml gives maxSteps twice, once as maxSteps/],
  ])("%s holding %j", async (name, text, message) => {
    const at = await setup();
    await writeFile(join(at.folder, name), text);
    const ran = await ft("train", join(at.folder, name), "--model", at.model, "--data", at.data, "--out", at.out);
    refused(ran, message, at);
  });

  it("patience without held-out rows, and a fraction beside a file of them", async () => {
    const at = await setup();
    refused(await train(at, "--patience", "2", "--validation-fraction", "0"), /patience needs held-out rows/, at);
    const both = ["--validation", at.data, "--validation-fraction", "0.2"];
    refused(await train(at, ...both), /validation and validationFraction are both given/, at);
  });

  it("rows longer than the model's context", async () => {
    const at = await setup();
    refused(await train(at, "--max-length", "300"), /maxLength is 300, the model's context 256/, at);
  });

  it("a command it does not know, with a suggestion", async () => {
    const { code, out, err } = await ft("generat");
    expect([code, out]).toEqual([2, ""]);
    expect(err).toMatch(/unknown command 'generat'[\s\S]*generate/);
  });

  it("target modules that match nothing, listing what there is", async () => {
    const at = await setup();
    refused(await train(at, "--lora-target-modules", "query"), /"query" matches no linear layer[\s\S]*q_proj/, at);
  });

  it("a second run in the same folder, which stays as it was", async () => {
    const at = await setup();
    expect((await train(at)).code).toBe(0);
    const before = await readFile(join(at.out, "metrics.jsonl"), "utf8");
    const { code, err } = await train(at);
    expect([code, err]).toEqual([2, expect.stringMatching(/holds a run already[\s\S]*resume/)]);
    expect(await readFile(join(at.out, "metrics.jsonl"), "utf8")).toBe(before);
  });

  it("weights with a NaN in them: it stops before the first step and names the rows", async () => {
    const at = await setup();
    const file = join(at.model, "model.safetensors");
    const bytes = await readFile(file);
    bytes.writeFloatLE(Number.NaN, bytes.length - 4 * 5);
    await writeFile(file, bytes);
    const { code, err } = await train(at, "--validation-fraction", "0");
    expect(err).toMatch(/step 1: the loss is NaN, in the batch of rows \d+/);
    expect(code).toBe(2);
    expect(existsSync(join(at.out, "adapter"))).toBe(false);
  });
});

describe("ft train", () => {
  it("takes a module path as a flag for a name, not for an expression", async () => {
    const at = await setup();
    expect((await train(at, "--lora-target-modules", "self_attn.q_proj")).code).toBe(0);
    const { target_modules } = JSON.parse(await readFile(join(at.out, "adapter/adapter_config.json"), "utf8"));
    expect(target_modules).toEqual(["self_attn.q_proj"]);
  });

  it("reads 2e-5 in YAML as a number, names from other trainers, and paths relative to the file", async () => {
    const at = await setup();
    const yaml =
      "model: model\ndata: rows.json\noutput_dir: run\nlearning_rate: 2e-5\nlora_r: 4\nmax_steps: 2\nlr_scheduler_type: constant\n";
    await writeFile(join(at.folder, "run.yaml"), yaml);
    expect((await ft("train", join(at.folder, "run.yaml"))).err).toMatch(/saved/);
    const { config } = JSON.parse(await readFile(join(at.out, "run.json"), "utf8"));
    expect(config).toMatchObject({ batchSize: 8, maxLength: 256, warmupRatio: 0, model: at.model, lora: { alpha: 8 } });
    expect(config).toMatchObject({ learningRate: 2e-5, lora: { r: 4 }, maxSteps: 2, schedule: "constant" });
  });

  it("gives one JSON document on stdout under --json, also for an error", async () => {
    const at = await setup();
    const good = await train(at, "--json");
    expect(JSON.parse(good.out)).toMatchObject({ reason: "finished", step: 4, saved: join(at.out, "adapter") });
    const bad = await train(at, "--json");
    expect(bad.code).toBe(2);
    expect(JSON.parse(bad.out)).toEqual({
      error: { code: "exists", message: expect.any(String), hint: expect.any(String) },
    });
  });

  it("ends with 130 after Ctrl-C, its checkpoint whole, and resumes to the bytes of an undisturbed run", async () => {
    const at = await setup();
    const flags = ["--lora-dropout", "0.1", "--save-every", "100", "--max-steps", "12"];
    const straight = { ...at, out: join(at.folder, "straight") };
    expect((await train(straight, ...flags)).code).toBe(0);
    const timer = setInterval(() => {
      if (existsSync(join(at.out, "metrics.jsonl")) && process.listenerCount("SIGINT") > 0) {
        clearInterval(timer);
        process.emit("SIGINT");
      }
    }, 5);
    const { code, err } = await train(at, ...flags);
    clearInterval(timer);
    expect(err).toMatch(/stopped after step \d+[\s\S]*--resume/);
    expect(code).toBe(130);
    // the rest is in run.json
    expect((await ft("train", "--out", at.out, "--resume")).code).toBe(0);
    const file = "adapter/adapter_model.safetensors";
    expect(await readFile(join(at.out, file))).toEqual(await readFile(join(straight.out, file)));
  });

  it.skipIf(process.getuid?.() !== 0)("says when the disk is full and keeps the checkpoints it has", async () => {
    const at = await setup();
    const disk = join(at.folder, "disk");
    await mkdir(disk);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=384k", "tmpfs", disk]);
    onTestFinished(() => void execFileSync("umount", [disk]));
    const full = { ...at, out: join(disk, "run") };
    const { code, err } = await train(full, "--lora-r", "16", "--save-every", "1", "--keep", "50", "--max-steps", "40");
    expect(err).toMatch(/space|full/i);
    expect(code).toBe(2);
    const kept = await readdir(join(full.out, "checkpoints"));
    expect(kept.length).toBeGreaterThan(0);
    // what is there can be continued elsewhere
    const moved = { ...at, out: join(at.folder, "moved") };
    await cp(full.out, moved.out, { recursive: true });
    const again = await train(moved, "--lora-r", "16", "--save-every", "100", "--max-steps", "40", "--resume");
    expect(again.err).toMatch(/resumed after step \d+/);
    expect(again.code).toBe(0);
  });
});
