import { table } from "../lib/numbers.mjs";

/**
 * Where the time of a step goes, of what a profile of the card (cardProfile() of @ft/backend-cuda) heard in `steps` steps.
 * What is not the card's work is "idle": the card waited for the host.
 */
export function profileOf(work, { steps, seconds }) {
  const each = ({ name, calls, milliseconds }) => ({ name, calls: calls / steps, milliseconds: milliseconds / steps });
  const kinds = work.kinds().map(each);
  const step = (seconds * 1000) / steps;
  const busy = kinds.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  kinds.push({ name: "idle", calls: 0, milliseconds: step - busy });
  return { step, kinds, names: work.times().slice(0, 30).map(each) };
}

/** Prints it; shares are of the step. */
export function printProfile({ step, kinds, names }) {
  const rows = (list) =>
    list.map(({ name, calls, milliseconds }) => [
      name,
      calls.toFixed(1),
      milliseconds.toFixed(2),
      `${((100 * milliseconds) / step).toFixed(1)} %`,
    ]);
  console.log(table([["kind of work", "calls a step", "ms", "share"], ...rows(kinds)]));
  console.log(table([["name", "calls a step", "ms", "share"], ...rows(names)]));
}
