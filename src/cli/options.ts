/** Options that several commands share, and their checks. */
import { InvalidArgumentError, type Command } from 'commander';
import { parseFaults, type FaultOptions } from '../link/fault-options.js';
import { nearest } from '../nearest.js';
import { parseKnobSetting, policies } from '../stack/catalogue.js';
import { ruleNames, type RuleName } from '../stack/policies.js';
import { parseAddress, parsePrefix } from '../wire/address.js';
import { MOST_WORKERS } from '../workers/limits.js';
import { UsageError } from './fail.js';
import { isPolicyPath, pathMistake } from './policy-path.js';

export interface ServiceOptions {
  http?: number;
  echo?: number;
  discard?: number;
  chargen?: number;
  closeFirst?: boolean;
}

/** Of commands that take a policy. */
export interface PolicyFlags {
  /** A name or a path. */
  policy: string;
  hook: [RuleName, string][];
  hookLimit?: number;
}

export interface StackFlags extends ServiceOptions, PolicyFlags {
  set: { name: string; value: number }[];
  faults?: FaultOptions;
  pcap?: string;
  json?: boolean;
}

/** A second service on a port is a mistake that no device need be made for. */
export function checkPorts(options: ServiceOptions): void {
  const taken = new Map<number, string>();
  for (const name of ['http', 'echo', 'discard', 'chargen'] as const) {
    const own = options[name];
    if (own === undefined) continue;
    const other = taken.get(own);
    if (other !== undefined) throw new UsageError(`--${name} ${own}: --${other} has that port`);
    taken.set(own, name);
  }
}

export function port(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > 65535)
    throw new InvalidArgumentError('a port is an integer from 1 to 65535.');
  return value;
}

export function seedNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 0xffffffff)
    throw new InvalidArgumentError('a seed is an integer from 0 to 4294967295.');
  return value;
}

export function jobs(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > 256)
    throw new InvalidArgumentError('threads are an integer from 1 to 256.');
  return value;
}

export function workers(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > MOST_WORKERS)
    throw new InvalidArgumentError(`workers are an integer from 1 to ${MOST_WORKERS}.`);
  return value;
}

/** Of things there is at least one of. */
export function count(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > 1e9)
    throw new InvalidArgumentError('an integer from 1 to 1000000000.');
  return value;
}

export function mtu(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 576 || value > 65535)
    throw new InvalidArgumentError('an MTU is an integer from 576 to 65535.');
  return value;
}

/** One more address with its prefix length. */
export function prefixes(text: string, before: string[] | undefined): string[] {
  if (!text.includes('/') || parsePrefix(text) === null) {
    throw new InvalidArgumentError('an address with its prefix length, as 10.77.0.2/24 or fd77::2/64.');
  }
  return [...(before ?? []), text];
}

/** One more address, as it is usually written. */
export function localAddress(text: string, before: string[] | undefined): string[] {
  const address = parseAddress(text);
  if (address === null) throw new InvalidArgumentError('an address, as 10.0.0.2 or fd00::2.');
  return [...(before ?? []), address.toString()];
}

/** ms. */
export function span(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 3_600_000)
    throw new InvalidArgumentError('milliseconds from 0 to 3600000.');
  return value;
}

const policyNames = policies.flatMap(({ name, aliases }) => [name, ...aliases]);

export function policyName(text: string): string {
  if (policyNames.includes(text)) return text;
  if (isPolicyPath(text))
    throw new InvalidArgumentError('a policy of your own is chosen at the start: --policy <file>.');
  throw new InvalidArgumentError(
    `unknown policy, nearest: ${nearest(text, policyNames).join(', ')}; \`timewait policies\` lists them.`,
  );
}

/** The name of a policy, or the path of a file that exports one. */
export function policyOrFile(text: string): string {
  if (!isPolicyPath(text)) return policyName(text);
  const mistake = pathMistake(text);
  if (mistake !== null) throw new InvalidArgumentError(`${mistake}.`);
  return text;
}

export function hook(text: string, before: [RuleName, string][]): [RuleName, string][] {
  const [, rule, policy] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (rule === undefined || policy === undefined)
    throw new InvalidArgumentError('HOOK=POLICY, as mayReopen=bsd.');
  if (!(ruleNames as readonly string[]).includes(rule)) {
    throw new InvalidArgumentError(
      `unknown hook '${rule}', nearest: ${nearest(rule, ruleNames).join(', ')}; hooks are ${ruleNames.join(', ')}.`,
    );
  }
  return [...before, [rule as RuleName, policyOrFile(policy)]];
}

/** ms, with fractions. */
export function hookLimit(text: string): number {
  const value = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || value < 0.1 || value > 60_000)
    throw new InvalidArgumentError('milliseconds from 0.1 to 60000.');
  return value;
}

/** --policy, --hook and --hook-limit on a command. */
export function withPolicyOptions(command: Command): Command {
  return command
    .option(
      '--policy <name>',
      `TIME-WAIT policy: ${policies.map((policy) => policy.name).join(', ')}; or a file of your own (.ts, .mts, .js, .mjs)`,
      policyOrFile,
      'rfc9293',
    )
    .option(
      '--hook <hook=policy>',
      `take one hook from another policy (repeatable): ${ruleNames.join(', ')}`,
      hook,
      [],
    )
    .option('--hook-limit <ms>', 'longest a hook of your own may take, default 5 ms', hookLimit);
}

export function setting(
  text: string,
  before: { name: string; value: number }[],
): { name: string; value: number }[] {
  const parsed = parseKnobSetting(text);
  if ('error' in parsed) throw new InvalidArgumentError(`${parsed.error}.`);
  return [...before, ...parsed];
}

export function faults(text: string): FaultOptions {
  const parsed = parseFaults(text);
  if ('error' in parsed) throw new InvalidArgumentError(`${parsed.error}.`);
  return parsed;
}

/** --http, --echo, ... --policy, --set, --faults, --pcap on a command. */
export function withStackOptions(command: Command): Command {
  command
    .option(
      '--http <port>',
      'serve HTTP/1.1: GET /, GET /bytes/N, PUT or POST /sink (answers length and SHA-256)',
      port,
    )
    .option('--echo <port>', 'serve echo (RFC 862)', port)
    .option('--discard <port>', 'serve discard (RFC 863)', port)
    .option('--chargen <port>', 'serve chargen (RFC 864)', port)
    .option('--close-first', 'the services close first, so TIME-WAIT is ours');
  return withPolicyOptions(command)
    .option('--set <knob=value>', 'set a knob (repeatable), see `timewait knobs`', setting, [])
    .option(
      '--faults <spec>',
      "faults on the device: 'loss=2%,reorder=1%,dup=1%,corrupt=0.1%,delay=10ms,seed=7'",
      faults,
    )
    .option('--pcap <file>', 'write a pcapng file, reasons as packet comments')
    .option('--json', 'print JSON');
}
