/** Where the text of a JSON array goes wrong: which element (from 1), which line of the file (from 1), and why. */
export interface JsonFault {
  readonly element: number;
  readonly line: number;
  readonly reason: string;
}

/**
 * Finds the first element of a broken JSON array. Runs only after JSON.parse has refused the whole text, because its
 * message holds a position at best, and people think in rows.
 * @param text begins with "[" after optional white space
 */
export function locateJsonFault(text: string): JsonFault {
  let at = text.indexOf("[") + 1;
  for (let element = 1; ; element++) {
    const end = elementEnd(text, at);
    const start = at + (text.slice(at, end).search(/\S/) + 1 || 1) - 1;
    const fault = (reason: string): JsonFault => ({ element, line: lineOf(text, start), reason });
    const closing = text[end];
    const raw = text.slice(at, end);
    const emptyArray = element === 1 && closing === "]" && raw.trim() === "";
    if (!emptyArray) {
      if (closing === undefined) return fault("the file ends in the middle of it");
      if (raw.trim() === "") return fault("there is a comma too many before it");
      try {
        JSON.parse(raw);
      } catch (error) {
        return fault(jsonReason(error));
      }
    }
    if (closing !== ",") {
      return { element, line: lineOf(text, end + 1), reason: "text follows the end of the array" };
    }
    at = end + 1;
  }
}

/** What JSON.parse complained about, without its quotation of the text. */
export function jsonReason(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/,? ?(\.\.\.)?"[\s\S]*" is not valid JSON$/, "").replace(/ in JSON at position \d+.*$/s, "");
}

/** Index of the "," or "]" that ends the element at `from`, or the length of the text. */
function elementEnd(text: string, from: number): number {
  let depth = 0;
  let quoted = false;
  for (let i = from; i < text.length; i++) {
    const c = text[i];
    if (quoted) {
      if (c === "\\") i++;
      else if (c === '"') quoted = false;
    } else if (c === '"') quoted = true;
    else if (c === "{" || c === "[") depth++;
    else if (depth === 0 && (c === "," || c === "]")) return i;
    else if (c === "}" || c === "]") depth--;
  }
  return text.length;
}

function lineOf(text: string, index: number): number {
  let line = 1;
  for (let i = text.indexOf("\n"); i !== -1 && i < index; i = text.indexOf("\n", i + 1)) line++;
  return line;
}
