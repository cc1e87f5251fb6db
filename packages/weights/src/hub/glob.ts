/** What one character of a path must be: that character, one of a class, anything, or any number of anything. */
type Token = { readonly is: string } | { readonly holds: (char: string) => boolean } | "any" | "star";

/**
 * A test for paths by shell patterns, as `fnmatch` of Python has them: `*` and `?` match "/" too, `[ab]`, `[a-z]` and `[!a]` are
 * classes, upper and lower case differ, and "folder/" stands for all that is in it. True where any of the patterns matches.
 */
export function globMatcher(patterns: readonly string[]): (path: string) => boolean {
  const compiled = patterns.map((pattern) => tokens(pattern.endsWith("/") ? `${pattern}*` : pattern));
  return (path) => {
    const chars = [...path];
    return compiled.some((pattern) => matches(pattern, chars));
  };
}

function tokens(glob: string): Token[] {
  const chars = [...glob];
  const out: Token[] = [];
  for (let i = 0; i < chars.length; i++) {
    const char = chars[i] ?? "";
    // "]" as the first one of a class is a member
    const from = i + (chars[i + 1] === "!" ? 2 : 1);
    const end = char === "[" ? chars.indexOf("]", from + 1) : -1;
    if (char === "*") out.push("star");
    else if (char === "?") out.push("any");
    else if (end !== -1) {
      const inside = members(chars.slice(from, end));
      const wanted = from === i + 1;
      out.push({ holds: (one) => inside(one) === wanted });
      i = end;
    } else out.push({ is: char });
  }
  return out;
}

/** Single characters and ranges; a range from a later character to an earlier one is empty. */
function members(chars: readonly string[]): (char: string) => boolean {
  const ranges: (readonly [number, number])[] = [];
  for (let i = 0; i < chars.length; i++) {
    const low = chars[i]?.codePointAt(0) ?? 0;
    const isRange = chars[i + 1] === "-" && i + 2 < chars.length;
    ranges.push([low, isRange ? (chars[i + 2]?.codePointAt(0) ?? 0) : low]);
    if (isRange) i += 2;
  }
  return (char) => {
    const code = char.codePointAt(0) ?? 0;
    return ranges.some(([low, high]) => low <= code && code <= high);
  };
}

/** After a mismatch only the last star need take one character more, so that no pattern takes long. */
function matches(pattern: readonly Token[], chars: readonly string[]): boolean {
  let [at, star, resume] = [0, -1, 0];
  for (let i = 0; i < chars.length; ) {
    const token = pattern[at];
    if (token === "star") {
      star = at++;
      resume = i;
    } else if (token !== undefined && fits(token, chars[i] ?? "")) {
      at++;
      i++;
    } else if (star !== -1) {
      at = star + 1;
      i = ++resume;
    } else return false;
  }
  return pattern.slice(at).every((token) => token === "star");
}

function fits(token: Token, char: string): boolean {
  if (typeof token === "string") return token === "any";
  return "is" in token ? token.is === char : token.holds(char);
}
