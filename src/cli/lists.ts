/** `timewait policies` and `timewait knobs`: what there is to choose, or what a running stack has chosen. */
import { knobAliases, knobs, policies, policyRow, type Knob, type PolicyRow } from '../stack/catalogue.js';
import { nearest } from '../stack/knobs.js';
import { formatProfile } from '../view/profile.js';
import { formatTable } from '../view/table.js';
import { ask } from './control.js';
import { UsageError } from './fail.js';
import { isPolicyPath } from './policy-path.js';
import { terminalWidth } from './terminal.js';

export interface ListFlags {
  json?: boolean;
  control?: string;
  use?: string;
  set?: { name: string; value: number }[];
}

export async function listPolicies(names: readonly string[], flags: ListFlags): Promise<number> {
  if (names.length > 0) {
    if (flags.use !== undefined || flags.control !== undefined)
      throw new UsageError(
        'policies are shown by name, or asked of a running stack with --control, not both',
      );
    return showPolicies(names, flags);
  }
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
    const columns = [{ title: 'policy' }, { title: 'what', wraps: true }, { title: 'source', wraps: true }];
    const rows = policies.map((policy) => [
      policy.name === present ? `${policy.name} *` : policy.name,
      policy.title,
      policy.source,
    ]);
    print(formatTable(columns, rows, terminalWidth()));
    if (present !== null) print('* rules now');
  }
  return 0;
}

/** A policy by its name, or from a file of the user's. */
async function rowOf(name: string): Promise<PolicyRow> {
  const found = policies.find((policy) => policy.name === name || policy.aliases.includes(name));
  if (found !== undefined) return found;
  if (isPolicyPath(name)) {
    const { loadPolicyFile } = await import('./policy-file.js');
    return policyRow(await loadPolicyFile(name));
  }
  const all = policies.flatMap(({ name: own, aliases }) => [own, ...aliases]);
  throw new UsageError(`unknown policy '${name}', nearest: ${nearest(name, all).join(', ')}`);
}

/** The pages of the policies named. */
async function showPolicies(names: readonly string[], flags: ListFlags): Promise<number> {
  const chosen: PolicyRow[] = [];
  for (const name of names) chosen.push(await rowOf(name));
  print(
    flags.json === true
      ? JSON.stringify({ policies: chosen })
      : chosen.map((policy) => formatProfile(policy, knobs)).join('\n\n'),
  );
  return 0;
}

/** Those that a word names, by a part of their name, of another system's name for them, or of what they do; none: all. */
function chosenKnobs(words: readonly string[]): readonly Knob[] {
  if (words.length === 0) return knobs;
  const has = (text: string): boolean =>
    words.some((word) => text.toLowerCase().includes(word.toLowerCase()));
  const found = knobs.filter(
    ({ name, text }) =>
      has(name) || has(text) || knobAliases.some((row) => row.name === name && has(row.alias)),
  );
  if (found.length > 0) return found;
  const names = [...knobs.map(({ name }) => name), ...knobAliases.map(({ alias }) => alias)];
  throw new UsageError(
    `no knob has '${words.join("' or '")}'; nearest: ${nearest(words[0]!, names).join(', ')}`,
  );
}

export async function listKnobs(words: readonly string[], flags: ListFlags): Promise<number> {
  const chosen = chosenKnobs(words);
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
        knobs: chosen.map((knob) => ({ ...knob, ...(values === null ? {} : { value: values[knob.name] }) })),
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
    { title: 'what it does', wraps: true },
  ];
  const rows = chosen.map((knob) => [
    knob.name,
    String(knob.default),
    ...(values === null ? [] : [String(values[knob.name])]),
    knob.unit,
    `${knob.min}..${knob.max}`,
    knob.text,
  ]);
  print(formatTable(columns, rows, terminalWidth()));
  const others = knobAliases.filter(({ name }) => chosen.some((knob) => knob.name === name));
  if (words.length > 0 && others.length > 0) {
    const titles = [{ title: 'other name' }, { title: 'for' }, { title: 'of whom', wraps: true }];
    print(
      `\n${formatTable(
        titles,
        others.map(({ alias, name, text }) => [alias, name, text]),
        terminalWidth(),
      )}`,
    );
  }
  return 0;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
