import { FtError } from "@ft/tensor";

/** 2 for bad input and bad usage, 130 for an interruption, 1 for a fault of the program itself. */
export function exitCode(thrown: unknown): number {
  const error = firstError(thrown);
  if (!FtError.is(error)) return 1;
  return error.code === "interrupted" ? 130 : 2;
}

/** What the user reads: what is wrong, then what to do. A stack trace only for faults of the program, with FT_DEBUG set. */
export function describeError(thrown: unknown): string {
  const error = firstError(thrown);
  if (FtError.is(error)) {
    const kind = error.code === "interrupted" ? "" : "error: ";
    return `${kind}${withoutHint(error)}\n  ${error.hint}`;
  }
  const detail = error instanceof Error ? (process.env.FT_DEBUG ? error.stack : error.message) : String(error);
  return `error: internal fault: ${detail}\n  please report it; FT_DEBUG=1 shows where it happened`;
}

/** The same as a JSON document. */
export function errorDocument(thrown: unknown): object {
  const error = firstError(thrown);
  if (FtError.is(error)) return { error: { code: error.code, message: withoutHint(error), hint: error.hint } };
  return { error: { code: "internal", message: error instanceof Error ? error.message : String(error) } };
}

/** What went wrong first, where giving things back failed after it. */
function firstError(error: unknown): unknown {
  return error instanceof Error && error.name === "SuppressedError" && "suppressed" in error
    ? firstError(error.suppressed)
    : error;
}

function withoutHint({ message, hint }: FtError): string {
  return message.endsWith(`; ${hint}`) ? message.slice(0, -hint.length - 2) : message;
}
