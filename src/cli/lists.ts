/** `timewait policies` and `timewait knobs`: what there is to choose, or what a running stack has chosen. */
import { knobs, policies } from '../stack/catalogue.js';
import { nearest } from '../stack/knobs.js';
import { formatProfile } from '../view/profile.js';
import { formatTable } from '../view/table.js';
import { ask } from './control.js';
import { UsageError } from './fail.js';

export interface ListFlags {
  json?: boolean;
  control?: string;
  use?: string;
  set?: { name: string; value: number }[];
}

export async function listPolicies(names: readonly string[], flags: ListFlags): Promise<number> {
  if (names.length > 0) return showPolicies(names, flags);
  if (flags.use !== undefined && flags.control === undefined) {
    throw new UsageError('--use changes a running stack: say which with --control <socket>');
  }
  let present: string | null = null;
  if (flags.control !== undefined) {
    if (flags.use !== undefined) await ask(flags.control, { command: 'policy', name: flags.use });
    present = (await ask<{ policy: string }>(flags.control, { command: 'status' })).policy;
  }
  if (flags.json === true) print(JSON.stringify({ policies, ...(present === null ? {} : { present }) }));
  else {
    const columns = [{ title: 'policy' }, { title: 'what' }, { title: 'source' }, { title: 'presets' }];
    const rows = policies.map((policy) => [
      policy.name === present ? `${policy.name} *` : policy.name,
      policy.title,
      policy.source,
      Object.entries(policy.knobs)
        .map(([name, value]) => `${name}=${value}`)
        .join(' '),
    ]);
    print(formatTable(columns, rows));
    if (present !== null) print('* rules now');
  }
  return 0;
}

/** The pages of the policies named. */
function showPolicies(names: readonly string[], flags: ListFlags): number {
  const all = policies.flatMap(({ name, aliases }) => [name, ...aliases]);
  const chosen = names.map((name) => {
    const found = policies.find((policy) => policy.name === name || policy.aliases.includes(name));
    if (found === undefined)
      throw new UsageError(`unknown policy '${name}', nearest: ${nearest(name, all).join(', ')}`);
    return found;
  });
  print(
    flags.json === true
      ? JSON.stringify({ policies: chosen })
      : chosen.map((policy) => formatProfile(policy, knobs)).join('\n\n'),
  );
  return 0;
}

export async function listKnobs(flags: ListFlags): Promise<number> {
  if ((flags.set ?? []).length > 0 && flags.control === undefined) {
    throw new UsageError('--set changes a running stack: say which with --control <socket>');
  }
  let values: Record<string, number> | null = null;
  if (flags.control !== undefined) {
    for (const { name, value } of flags.set ?? []) await ask(flags.control, { command: 'set', name, value });
    values = (await ask<{ knobs: Record<string, number> }>(flags.control, { command: 'status' })).knobs;
  }
  if (flags.json === true) {
    print(
      JSON.stringify({
        knobs: knobs.map((knob) => ({ ...knob, ...(values === null ? {} : { value: values[knob.name] }) })),
      }),
    );
    return 0;
  }
  const columns = [
    { title: 'knob' },
    { title: 'default', right: true },
    ...(values === null ? [] : [{ title: 'now', right: true }]),
    { title: 'unit' },
    { title: 'range' },
    { title: 'what it does' },
  ];
  const rows = knobs.map((knob) => [
    knob.name,
    String(knob.default),
    ...(values === null ? [] : [String(values[knob.name])]),
    knob.unit,
    `${knob.min}..${knob.max}`,
    knob.text,
  ]);
  print(formatTable(columns, rows));
  return 0;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
