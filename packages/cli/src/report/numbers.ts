/** 1234567 as "1,234,567". */
export function grouped(n: number): string {
  return n.toLocaleString("en-US");
}

/** A measured number with four significant digits: "0.1186", "1,659", "2.5e-7". */
export function figure(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return "not finite";
  const size = Math.abs(value);
  if (size !== 0 && size < 1e-4) return value.toExponential(2);
  if (size >= 1000) return grouped(Math.round(value));
  return value.toLocaleString("en-US", { maximumSignificantDigits: 4 });
}

/** 0.0123 as "1.2 %". */
export function percent(share: number): string {
  const value = 100 * share;
  return `${value.toFixed(Math.abs(value) < 10 ? 1 : 0)} %`;
}

/** One thing or several: "1 row", "2 rows". */
export function several(n: number, one: string, more: string = `${one}s`): string {
  return `${grouped(n)} ${n === 1 ? one : more}`;
}

/** 1030000 as "1.03 M", for large numbers that are read at a glance. */
export function rough(n: number): string {
  for (const [unit, letter] of [
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
    [1e4, "k"],
  ] as const)
    if (n >= unit) return `${Number((n / (letter === "k" ? 1e3 : unit)).toPrecision(3))} ${letter}`;
  return grouped(Math.round(n));
}

/** "2026-03-01T12:34:56Z" as "2026-03-01 12:34 UTC"; what is no date as it stands. */
export function moment(iso: string): string {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? iso : `${date.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}
