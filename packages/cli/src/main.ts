import { Command, CommanderError, Option, type OutputConfiguration } from "commander";
import { describeError, errorDocument, exitCode } from "./errors.ts";
import { addEvalOptions } from "./eval/options.ts";
import { addExportOptions, addMergeOptions } from "./export/options.ts";
import { fraction, number, oneOf, several, whole } from "./flag-values.ts";
import { createIo, type Io, type Output, processOutput } from "./io.ts";
import { answering, computing } from "./model-flags.ts";
import { version } from "./version.ts";

type Action = (io: Io, signal: AbortSignal) => Promise<void>;

/** Runs a command line, without the program's name, and returns the exit code. Never throws; bad input gives no stack trace. */
export async function main(args: readonly string[], output: Output = processOutput): Promise<number> {
  const json = args.includes("--json");
  const io = createIo(json, output);
  let chosen: Action | undefined;
  const say = {
    writeErr: (text: string) => json || io.note(text.trimEnd()),
    writeOut: output.out,
  };
  const program = await buildProgram(args, say, (action) => {
    chosen = action;
  });
  const interruption = new AbortController();
  const interrupt = (): void => {
    // a second Ctrl-C does not wait
    if (interruption.signal.aborted) {
      output.err("\nstopped at once; what was reported as saved is kept\n");
      process.exit(130);
    }
    interruption.abort();
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  try {
    await program.parseAsync(isConfigured(args) ? (await import("./flags.ts")).withSwitches(args) : [...args], {
      from: "user",
    });
    await chosen?.(io, interruption.signal);
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return 0;
      io.document({ error: { code: "usage", message: error.message.replace(/^error: /, "") } });
      return 2;
    }
    if (interruption.signal.aborted && error === interruption.signal.reason) return 130;
    io.document(errorDocument(error));
    if (!json) io.note(describeError(error));
    return exitCode(error);
  } finally {
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
  }
}

/** Whether it is one of the commands that have a flag for every key. */
function isConfigured(args: readonly string[]): boolean {
  return args.includes("train") || args.includes("plan");
}

/** Commands load what they need when they run, and only `train` the schema that its flags are made from, so that --help is quick. */
async function buildProgram(
  args: readonly string[],
  say: OutputConfiguration,
  choose: (action: Action) => void,
): Promise<Command> {
  // settings first: commands made later inherit them
  const program = new Command("ft")
    .configureOutput(say)
    .description("Fine-tune a language model, talk to it, look at its data.")
    .version(version)
    .exitOverride()
    .showSuggestionAfterError()
    .configureHelp({ sortSubcommands: false, showGlobalOptions: false });

  const train = program
    .command("train")
    .description("fine-tune a model")
    .argument("[config]", "a .yaml or .json file; every key is also a flag");
  const config = isConfigured(args) ? await import("./flags.ts") : undefined;
  config?.addConfigFlags(train);
  train.option("--json", "one JSON document on stdout").action((file: string | undefined) => {
    const flags = config?.configFromFlags(train) ?? {};
    choose(async (io, signal) => (await import("./commands/train.ts")).trainCommand(file, flags, io, signal));
  });

  const plan = program
    .command("plan")
    .description("memory and time of a training run, before it")
    .argument("[config]", "as for train; data and out are not needed, of a model on the hub only its config is read");
  config?.addConfigFlags(plan);
  plan
    .option("--memory <size>", "what there is, such as 16GB (default: this machine's)")
    .option("--json", "one JSON document on stdout")
    .action((file: string | undefined) => {
      const flags = config?.configFromFlags(plan) ?? {};
      const { memory } = plan.opts<{ memory?: string }>();
      choose(async (io, signal) => (await import("./commands/plan.ts")).planCommand(file, flags, memory, io, signal));
    });

  generation(program.command("generate").description("answer one prompt"))
    .option("--prompt <text>", "what to answer")
    .option("--prompt-file <file>", "the same from a file")
    .action((flags) =>
      choose(async (io, signal) => (await import("./commands/generate.ts")).generateCommand(flags, io, signal)),
    );
  const chat = generation(program.command("chat").description("talk to a model"));
  chat.option("--no-history", "every message stands alone, as in data of single questions");
  chat.action((flags) =>
    choose(async (io, signal) => (await import("./commands/chat.ts")).chatCommand(flags, io, signal)),
  );

  addEvalOptions(program.command("eval").description("measure a model, and adapters over it, on held-out rows")).action(
    (flags) => choose(async (io, signal) => (await import("./commands/eval.ts")).evalCommand(flags, io, signal)),
  );

  program
    .command("pull")
    .description("download a model from the hub")
    .argument("<id>", "org/name, or org/name/file.gguf")
    .option("--revision <name>", "a branch, a tag or a commit (default: main)")
    .option("--include <glob>", "files to take instead of what ft uses; may be given again", several)
    .option("--exclude <glob>", "files to leave out; may be given again", several)
    .option("--cache <folder>", "where to keep it (default: HF_HUB_CACHE, ~/.cache/huggingface/hub)")
    .option("--json", "one JSON document on stdout")
    .action((id: string, flags) =>
      choose(async (io, signal) => (await import("./commands/pull.ts")).pullCommand(id, flags, io, signal)),
    );

  program
    .command("push")
    .description("upload an adapter, a model or an export to the hub")
    .argument("<folder>", "an adapter, a merged model, an export, or a run")
    .argument("<id>", "org/name; it is made where it is not there")
    .option("--private", "nobody else sees it")
    .option("--revision <branch>", "where to (default: main); it is made where it is not there")
    .option("--message <text>", "of the commit")
    .option("--include <glob>", "files to upload instead of all that make the model; may be given again", several)
    .option("--exclude <glob>", "files to leave out; may be given again", several)
    .option("--create-pr", "a pull request instead of a commit")
    .option("--base-model <id>", "the base on the hub, where the folder names it by a path")
    .option("--json", "one JSON document on stdout")
    .action((folder: string, id: string, flags) =>
      choose(async (io, signal) => (await import("./commands/push.ts")).pushCommand(folder, id, flags, io, signal)),
    );

  addMergeOptions(
    program.command("merge").description("merge an adapter into its base: a folder that other tools load"),
  ).action((flags) =>
    choose(async (io, signal) => (await import("./commands/export.ts")).mergeCommand(flags, io, signal)),
  );
  addExportOptions(
    program
      .command("export")
      .description("write a model for other tools, an adapter merged, layer by layer on the CPU"),
  ).action((flags) =>
    choose(async (io, signal) => (await import("./commands/export.ts")).exportCommand(flags, io, signal)),
  );

  program
    .command("report")
    .description("one page of a run: curves, memory, rows, metrics, answers")
    .argument("<run>", "the folder of a run")
    .option("--eval <folder>", "an evaluation to show with it (default: the run's own)")
    .option("--out <file>", "where to write it (default: report.html in the run)")
    .option("--json", "one JSON document on stdout")
    .action((run: string, flags) =>
      choose(async (io) => (await import("./commands/report.ts")).reportCommand(run, flags, io)),
    );

  program
    .command("doctor")
    .description("what this machine can compute on, what is missing, and how to get it")
    .option("--json", "one JSON document on stdout")
    .action(() => choose(async (io) => (await import("./commands/doctor.ts")).doctorCommand(io)));

  const setup = program.command("setup").description("fetch what a backend needs");
  setup
    .command("cuda")
    .description("cuBLAS and cuDNN, NVIDIA's libraries, into ft's cache; FT_CACHE names another folder")
    .addOption(
      oneOf(new Option("--cuda <version>", "for drivers of this CUDA version (default: the driver's)"), ["12", "13"]),
    )
    .addOption(
      oneOf(new Option("--from <source>", "where from (default: pip where it is, otherwise NVIDIA's archive)"), [
        "pip",
        "archive",
      ]),
    )
    .option("--force", "fetch them also where the cache has them already")
    .option("--json", "one JSON document on stdout")
    .action((flags) =>
      choose(async (io, signal) => (await import("./commands/setup.ts")).setupCudaCommand(flags, io, signal)),
    );

  const data = program.command("data").description("look at rows before training on them");
  dataset(data.command("preview").description("rows as the model sees them, what is trained on in colour"))
    .option("--rows <n>", "how many", whole(1), 3)
    .action((flags) =>
      choose(async (io, signal) => (await import("./commands/data.ts")).previewCommand(flags, io, signal)),
    );
  dataset(data.command("stats").description("counts and lengths")).action((flags) =>
    choose(async (io, signal) => (await import("./commands/data.ts")).statsCommand(flags, io, signal)),
  );
  data
    .command("split")
    .description("a training and a held-out file, split once by seed")
    .requiredOption("--data <file>", "rows: .json or .jsonl")
    .requiredOption("--out <folder>", "where to write both")
    .option("--fraction <f>", "share of the rows to hold out", fraction, 0.1)
    .option("--seed <n>", "which rows", whole(0), 0)
    .option("--json", "one JSON document on stdout")
    .action((flags) => choose(async (io) => (await import("./commands/data.ts")).splitCommand(flags, io)));
  return program;
}

function generation(command: Command): Command {
  const asked = command
    .requiredOption("--model <model>", "a folder, a .gguf file, or a name on the hub (org/name)")
    .option("--adapter <folder>", "a LoRA adapter over it")
    .option("--system <text>", "system message");
  const drawn = answering(asked)
    .option("--temperature <t>", "0 is greedy", number, 0)
    .option("--top-k <k>", "only the k likeliest tokens, 0 for all", whole(0), 0)
    .option("--top-p <p>", "only the likeliest tokens that reach p together", number, 1)
    .option("--seed <n>", "of the sampling", whole(0), 0);
  return computing(drawn);
}

function dataset(command: Command): Command {
  return command
    .requiredOption("--data <file>", "rows: .json or .jsonl")
    .requiredOption("--model <model>", "whose tokenizer and template to use")
    .option("--chat-template <file>", "a Jinja file instead of the model's template")
    .option("--max-length <n>", "tokens of a row at most", whole(2), 512)
    .addOption(
      oneOf(new Option("--truncation <how>", "what happens to longer rows"), ["end", "drop", "error"]).default("end"),
    )
    .option("--json", "one JSON document on stdout");
}
