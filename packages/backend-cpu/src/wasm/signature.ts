/** One parameter of a C kernel. */
export interface Parameter {
  readonly name: string;
  /** an array that the kernel reads ("in") or writes ("out"), an int64 ("wide"), any other number ("plain") */
  readonly kind: "in" | "out" | "wide" | "plain";
}

/** A C declaration such as `int64_t ft_embedding(const float *table, int64_t vocab)`, taken apart. */
export interface Signature {
  readonly symbol: string;
  readonly wideResult: boolean;
  readonly parameters: readonly Parameter[];
}

/** Reads a declaration of src/native/abi.ts. */
export function parseSignature(prototype: string): Signature {
  const [, result = "", symbol = "", list = ""] = /^(\w+) (\w+)\((.*)\)$/.exec(prototype) ?? [];
  const parameters = list.split(", ").map((text): Parameter => {
    const name = /\w+$/.exec(text)?.[0] ?? "";
    if (text.includes("*")) return { name, kind: text.startsWith("const ") ? "in" : "out" };
    return { name, kind: text.startsWith("int64_t ") ? "wide" : "plain" };
  });
  return { symbol, wideResult: result === "int64_t", parameters };
}
