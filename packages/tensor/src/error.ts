const marker = Symbol.for("@ft/error");

/** What went wrong, in a form a program can test. Codes never change their meaning. */
export type FtErrorCode =
  | "shape"
  | "dtype"
  | "axes"
  | "backend"
  | "disposed"
  | "scope"
  | "autograd"
  | "input"
  | "unsupported"
  | "format"
  | "missing"
  | "config"
  | "data"
  | "io"
  | "exists"
  | "numeric"
  | "interrupted";

/**
 * The one error class of the project: a stable `code`, a message that says what is wrong and where, a `hint` that says what to do.
 * Recognised by a registered symbol, so that it still matches when two copies of the package are installed.
 */
export class FtError extends Error {
  readonly code: FtErrorCode;
  readonly hint: string;
  /** @param message what is wrong and where, e.g. "[linear] 2×8 · 4×9: contracts 8 with 9" */
  constructor(code: FtErrorCode, message: string, hint: string, options?: ErrorOptions) {
    super(`${message}; ${hint}`, options);
    this.name = "FtError";
    this.code = code;
    this.hint = hint;
    Object.defineProperty(this, marker, { value: true });
  }

  /** True for every FtError, also one made by another copy of this package. */
  static is(value: unknown): value is FtError {
    return typeof value === "object" && value !== null && marker in value;
  }
}
