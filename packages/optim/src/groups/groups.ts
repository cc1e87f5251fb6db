import type { AnyOptimizer, Place, Scalar } from "../optimizer.ts";
import type { Role } from "../role.ts";

/** Parameters that get an optimizer of their own. */
export interface Group {
  readonly match: (name: string, role: Role) => boolean;
  readonly optimizer: AnyOptimizer;
}

/**
 * One optimizer out of several: a parameter goes to the first group that matches, else to `otherwise`. The result is an
 * Optimizer like any other, so saving and resuming need nothing more.
 */
export function withGroups(options: {
  readonly groups: readonly Group[];
  readonly otherwise: AnyOptimizer;
}): AnyOptimizer {
  const members = [...options.groups.map((group) => group.optimizer), options.otherwise];
  const memberOf = ({ name, role }: Place): { index: number; optimizer: AnyOptimizer } => {
    const found = options.groups.findIndex((group) => group.match(name, role));
    const index = found < 0 ? options.groups.length : found;
    return { index, optimizer: members[index] ?? options.otherwise };
  };
  const [group, ...others] = new Set(members.map((member) => member.group));
  const nonNegative = sharedSlots(members.map((member) => member.nonNegative ?? []));
  return {
    name: `groups(${members.map((member) => member.name).join(",")})`,
    ...(group !== undefined && others.length === 0 && { group }),
    ...(nonNegative.length > 0 && { nonNegative }),
    ...(members.every((member) => member.keepsMasters) && { keepsMasters: true }),
    init: (at) => memberOf(at).optimizer.init(at),
    scalars(at) {
      const all: { [name: string]: number } = {};
      for (const [index, member] of members.entries())
        for (const [name, value] of Object.entries(member.scalars(at))) all[`${index}.${name}`] = value;
      return all;
    },
    step(at) {
      const { index, optimizer } = memberOf(at);
      const prefix = `${index}.`;
      const own: { [name: string]: Scalar } = {};
      for (const [name, value] of Object.entries(at.scalars))
        if (name.startsWith(prefix)) own[name.slice(prefix.length)] = value;
      return optimizer.step({ ...at, scalars: own });
    },
    ...(members.some((member) => member.evaluated) && {
      evaluated(at) {
        const { optimizer } = memberOf(at);
        return optimizer.evaluated?.(at) ?? at.param.as(...at.param.axes);
      },
    }),
  };
}

/** What is in every list: a slot's name says nothing of which member it is of. */
function sharedSlots([first = [], ...others]: readonly (readonly string[])[]): string[] {
  return first.filter((slot) => others.every((other) => other.includes(slot)));
}
