import { describe, expect, it, vi } from "vitest";
import type { CudaContext, CudaView } from "./context.ts";
import type { DriverCalls } from "./driver/driver.ts";
import { createGraphs } from "./graphs.ts";

/** A view whose storage counts its holders. */
function view(address: bigint, host?: readonly number[]): CudaView & { readonly held: () => number } {
  let refs = 1;
  const buffer = { address, bytes: 16, ...(host && { host: Int32Array.from(host) }) };
  const storage = { buffer, retain: () => refs++, release: () => refs-- };
  return { dtype: "i32", shape: [4], storage, held: () => refs } as unknown as CudaView & {
    readonly held: () => number;
  };
}

function setup(instantiate = 0) {
  const said: string[] = [];
  const ok = (name: string) => (out: bigint[] | bigint) => {
    said.push(name);
    if (Array.isArray(out)) out[0] = 99n;
    return 0;
  };
  const driver = {
    cuStreamBeginCapture: ok("begin"),
    cuStreamEndCapture: (_: bigint, out: bigint[]) => ok("end")(out),
    cuGraphInstantiate: (out: bigint[]) => ok("instantiate")(out) + instantiate,
    cuGraphLaunch: ok("launch"),
    cuGraphDestroy: ok("destroy"),
    cuGraphExecDestroy: ok("destroy exec"),
    cuStreamSynchronize: ok("wait"),
  } as unknown as DriverCalls;
  const context = { copy: (to: bigint, from: bigint) => said.push(`copy ${from} to ${to}`) } as unknown as CudaContext;
  const graphs = createGraphs({
    driver,
    stream: 1n,
    context,
    enterGraphs: () => said.push("enter"),
    beforeEnd: () => {},
    prepare: () => said.push("prepare"),
    failed: () => said.push("failed"),
    leaveGraphs: () => said.push("leave"),
    giveBack: ({ address }) => said.push(`give ${address}`),
  });
  const heard = (): string[] => said.splice(0);
  return { graphs, heard };
}

describe("createGraphs", () => {
  it("runs, then records, then replays with the new inputs in the places of the old", () => {
    const { graphs, heard } = setup();
    const result = view(50n);
    const fn = vi.fn(() => [result]);
    graphs.run("step", [view(1n)], fn);
    expect(heard()).toEqual([]);
    const second = view(2n);
    graphs.run("step", [second], fn);
    expect(heard()).toEqual(["enter", "begin", "end", "prepare", "instantiate", "destroy", "leave", "launch"]);
    expect(graphs.run("step", [view(3n)], fn)).toEqual([result]);
    expect(heard()).toEqual(["copy 3 to 2", "launch"]);
    expect(fn).toHaveBeenCalledTimes(2);
    expect(graphs.count).toBe(1);
    expect(second.held()).toBe(2);
    // the graph's own hold, and one for each of two results handed out
    expect(result.held()).toBe(3);
  });

  it("keeps a graph for each shape and for each decision that a guard saw", () => {
    const { graphs, heard } = setup();
    const runs = (host: readonly number[]): number => {
      const at = view(1n, host);
      const fn = vi.fn(() => {
        graphs.guard(at.storage.buffer, (ids) => `largest ${Math.max(...ids)}`);
        return [];
      });
      graphs.run("step", [at], fn);
      return fn.mock.calls.length;
    };
    expect([runs([1, 1]), runs([1, 1]), runs([0, 1]), runs([1, 2]), runs([2, 2]), runs([1, 0])]).toEqual([
      1, 1, 0, 1, 0, 0,
    ]);
    expect(graphs.count).toBe(2);
    expect(heard().filter((what) => what === "launch")).toHaveLength(5);
  });

  it("gives the memory of results back when another graph is recorded that does not read them", () => {
    const { graphs, heard } = setup();
    const gradients = view(50n);
    const norm = view(60n);
    const record = (key: string, input: CudaView, result: CudaView): string[] => {
      for (let i = 0; i < 2; i++) graphs.run(key, [input], () => [result]);
      return heard().filter((what) => what.startsWith("give"));
    };
    expect(record("micro-batch", view(1n), gradients)).toEqual([]);
    expect(record("norm", gradients, norm)).toEqual([]);
    expect(record("another", view(2n), view(70n))).toEqual(["give 60"]);
  });

  it("runs what cannot be recorded as ever, and says so once", () => {
    const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const { graphs, heard } = setup();
    const at = view(1n);
    const fn = (): CudaView[] => {
      if (graphs.capturing) throw new Error("it takes a value from the host");
      return [];
    };
    for (let i = 0; i < 5; i++) graphs.run("step", [at], fn);
    expect(heard()).toEqual(["enter", "begin", "end", "failed", "destroy", "leave"]);
    expect(warned).toHaveBeenCalledTimes(1);
    expect(at.held()).toBe(1);
    warned.mockRestore();
  });

  it("lets go of the results of what was recorded but makes no graph", () => {
    const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const { graphs } = setup(1);
    const made: ReturnType<typeof view>[] = [];
    const fn = (): CudaView[] => {
      made.push(view(50n));
      return made.slice(-1);
    };
    for (let i = 0; i < 2; i++) graphs.run("step", [view(1n)], fn);
    // run as ever, recorded in vain, run as ever
    expect(made.map(({ held }) => held())).toEqual([1, 0, 1]);
    warned.mockRestore();
  });

  it("leaves a result whole for others: a graph that has it elsewhere is not replayed, since it might overwrite it", () => {
    const { graphs, heard } = setup();
    const run = (key: string, input: CudaView, result: CudaView): void => {
      graphs.run(key, [input], () => {
        heard();
        return [result];
      });
    };
    const norm = (gradients: CudaView): boolean => {
      const fn = vi.fn(() => []);
      graphs.run("norm", [gradients], fn);
      heard();
      return fn.mock.calls.length > 0;
    };
    const own = view(40n);
    for (let i = 0; i < 2; i++) norm(own);
    expect(norm(view(41n))).toBe(false);
    const gradients = view(50n);
    for (let i = 0; i < 2; i++) run("micro-batch", view(1n), gradients);
    // its work area may lie over these
    expect(norm(gradients)).toBe(true);
    expect(norm(gradients)).toBe(true);
    expect(norm(own)).toBe(false);
  });

  it("records nothing over results whose memory others may use by now", () => {
    const { graphs } = setup();
    const gradients = view(50n);
    for (let i = 0; i < 2; i++) graphs.run("micro-batch", [view(1n)], () => [gradients]);
    for (let i = 0; i < 2; i++) graphs.run("another", [view(2n)], () => []);
    for (let i = 0; i < 3; i++) graphs.run("norm", [gradients], () => []);
    expect(graphs.count).toBe(2);
  });

  it("knows what the host wrote to an input that is overwritten by a later one", () => {
    const { graphs } = setup();
    const second = view(2n, [1, 2]);
    for (const input of [view(1n), second, view(3n, [5, 6])]) graphs.run("step", [input], () => []);
    expect(second.storage.buffer.host).toEqual(Int32Array.of(5, 6));
    graphs.run("step", [view(4n)], () => []);
    expect(second.storage.buffer.host).toBeUndefined();
  });

  it("runs what is run within something recorded as part of that", () => {
    const { graphs, heard } = setup();
    const inner = (): readonly unknown[] => graphs.run("inner", [view(1n)], () => []);
    for (let i = 0; i < 2; i++) inner();
    heard();
    for (let i = 0; i < 2; i++)
      graphs.run("outer", [view(2n)], () => {
        if (graphs.capturing) heard();
        inner();
        return [];
      });
    expect(heard()).toEqual(["end", "prepare", "instantiate", "destroy", "leave", "launch"]);
  });
});
