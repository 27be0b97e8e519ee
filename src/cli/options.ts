/** Options that several commands share, and their checks. */
import { InvalidArgumentError, type Command } from 'commander';
import { parseFaults, type FaultOptions } from '../link/faults.js';
import { parseKnobSetting, policies } from '../stack/catalogue.js';
import { nearest } from '../stack/knobs.js';
import { parsePrefix } from '../wire/address.js';

export interface ServiceOptions {
  http?: number;
  echo?: number;
  discard?: number;
  chargen?: number;
  closeFirst?: boolean;
}

export interface StackFlags extends ServiceOptions {
  policy: string;
  set: { name: string; value: number }[];
  faults?: FaultOptions;
  pcap?: string;
  json?: boolean;
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

/** One more address with its prefix length. */
export function prefixes(text: string, before: string[] | undefined): string[] {
  if (!text.includes('/') || parsePrefix(text) === null) {
    throw new InvalidArgumentError('an address with its prefix length, as 10.77.0.2/24 or fd77::2/64.');
  }
  return [...(before ?? []), text];
}

export function policyName(text: string): string {
  const names = policies.flatMap(({ name, aliases }) => [name, ...aliases]);
  if (!names.includes(text)) {
    throw new InvalidArgumentError(
      `unknown policy, nearest: ${nearest(text, names).join(', ')}; \`timewait policies\` lists them.`,
    );
  }
  return text;
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
  return command
    .option(
      '--http <port>',
      'serve HTTP/1.1: GET /, GET /bytes/N, PUT or POST /sink (answers length and SHA-256)',
      port,
    )
    .option('--echo <port>', 'serve echo (RFC 862)', port)
    .option('--discard <port>', 'serve discard (RFC 863)', port)
    .option('--chargen <port>', 'serve chargen (RFC 864)', port)
    .option('--close-first', 'the services close first, so TIME-WAIT is ours')
    .option(
      '--policy <name>',
      `TIME-WAIT policy: ${policies.map((policy) => policy.name).join(', ')}`,
      policyName,
      'rfc9293',
    )
    .option('--set <knob=value>', 'set a knob (repeatable), see `timewait knobs`', setting, [])
    .option(
      '--faults <spec>',
      "faults on the device: 'loss=2%,reorder=1%,dup=1%,corrupt=0.1%,delay=10ms,seed=7'",
      faults,
    )
    .option('--pcap <file>', 'write a pcapng file, reasons as packet comments')
    .option('--json', 'print JSON');
}
