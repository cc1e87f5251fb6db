/** True for Python's `string.punctuation`: what is printable in ASCII, but no letter, digit or space. */
export function isPunctuation(unit: number): boolean {
  return (
    (unit >= 0x21 && unit <= 0x2f) ||
    (unit >= 0x3a && unit <= 0x40) ||
    (unit >= 0x5b && unit <= 0x60) ||
    (unit >= 0x7b && unit <= 0x7e)
  );
}

/** The text without ASCII punctuation. */
export function removePunctuation(text: string): string {
  return text.replace(/[!-/:-@[-`{-~]/g, "");
}
