/**
 * The settings of one stack, and how people write them. What there is to set stands in
 * knob-rows.ts.
 */
import { nearest } from '../nearest.js';
import { knobAliases, knobs, type Knob } from './knob-rows.js';

export { nearest } from '../nearest.js';
export { knobAliases, knobs, type Knob, type KnobAlias } from './knob-rows.js';

const byName = new Map(knobs.map((knob) => [knob.name, knob]));

const byAlias = new Map(knobAliases.map((row) => [row.alias, row]));

/** One assignment, or the message for the user. */
export type Setting = { readonly name: string; readonly value: number }[] | { readonly error: string };

/**
 * 'NAME=VALUE' as the command line takes it. `net.ipv4.ip_local_port_range=MIN MAX` sets
 * both ends, `net.inet.tcp.rfc1323` timestamps and window scaling; names may leave out `net.ipv4.`.
 */
export function parseKnobSetting(text: string): Setting {
  const equals = text.indexOf('=');
  if (equals < 1) return { error: `'${text}' is not KNOB=VALUE` };
  const name = text.slice(0, equals).trim();
  const value = text.slice(equals + 1).trim();
  if (name === 'net.ipv4.ip_local_port_range' || name === 'ip_local_port_range') {
    const ends = value.split(/[\s,-]+/).map(Number);
    if (ends.length !== 2 || !ends.every(Number.isInteger) || ends[0]! > ends[1]!) {
      return { error: `'${name}' takes two ports, 'MIN MAX', got '${value}'` };
    }
    const low = { name: 'net.ipv4.ip_local_port_range.min', value: ends[0]! };
    const high = { name: 'net.ipv4.ip_local_port_range.max', value: ends[1]! };
    const message =
      outOfRange(byName.get(low.name)!, low.value) ?? outOfRange(byName.get(high.name)!, high.value);
    return message === null ? [low, high] : { error: message };
  }
  if (name === 'net.inet.tcp.rfc1323') {
    const scaling = parseKnobSetting(`net.ipv4.tcp_window_scaling=${value}`);
    const stamps = parseKnobSetting(`net.ipv4.tcp_timestamps=${value}`);
    return 'error' in stamps || 'error' in scaling ? stamps : [...stamps, ...scaling];
  }
  const known = resolve(name);
  if (known === null) return { error: unknown(name) };
  const number = readValue(known, value);
  if (number === null) {
    const units =
      known.knob.unit === 's' || known.knob.unit === 'ms' ? ", or with a unit as '30s', '500ms'" : '';
    return { error: `'${name}' takes a number${units}, got '${value}'` };
  }
  const message = outOfRange(known.knob, number);
  return message === null ? [{ name: known.knob.name, value: number }] : { error: message };
}

/** A knob as it was called: under an alias its values may count in another unit. */
interface Named {
  readonly knob: Knob;
  readonly factor: number;
}

function resolve(name: string): Named | null {
  const alias = byAlias.get(name);
  const knob = byName.get(alias?.name ?? name) ?? byName.get(`net.ipv4.${name}`);
  return knob === undefined ? null : { knob, factor: alias?.factor ?? 1 };
}

/** A bare number counts in the knob's unit; '30s' and '500ms' say theirs. In the knob's unit, or null. */
function readValue({ knob, factor }: Named, text: string): number | null {
  if (/^0x[0-9a-f]+$/i.test(text)) return scaled(Number(text), factor);
  const match = /^(-?\d+(?:\.\d+)?)\s*(ms|s)?$/.exec(text);
  if (match === null) return null;
  const number = Number(match[1]);
  if (match[2] === undefined) return scaled(number, factor);
  if (knob.unit !== 's' && knob.unit !== 'ms') return null;
  if (match[2] === knob.unit) return number;
  return match[2] === 's' ? number * 1000 : scaled(number, 0.001);
}

/** Without the noise of binary fractions: 5000 * 0.001 is 5. */
function scaled(number: number, factor: number): number {
  return factor < 1 ? number / Math.round(1 / factor) : number * factor;
}

function unknown(name: string): string {
  return `unknown knob '${name}', nearest: ${nearest(name, [
    ...knobs.map((knob) => knob.name),
    ...knobAliases.map(({ alias }) => alias),
  ]).join(', ')}`;
}

function outOfRange(knob: Knob, value: number): string | null {
  const inside = Number.isInteger(value) && value >= knob.min && value <= knob.max;
  const unit = knob.unit === '' ? '' : ` ${knob.unit}`;
  return inside
    ? null
    : `'${knob.name}' must be an integer from ${knob.min} to ${knob.max}${unit}, got ${value}`;
}

/** Under the knob's own name and in its unit; or the message: unknown, or out of range. */
function assignment(name: string, value: number): { name: string; value: number } | string {
  const known = resolve(name);
  if (known === null) return unknown(name);
  const inUnit = scaled(value, known.factor);
  return outOfRange(known.knob, inUnit) ?? { name: known.knob.name, value: inUnit };
}

/** Values of one stack: defaults, under them what the policy presets, over both what the user set. */
export class Knobs {
  private readonly values = new Map<string, number>();
  private readonly byUser = new Set<string>();
  /** What was asked for last: a policy asks for the same knob segment after segment (13 ns by name, measured). */
  private lastName: string | null = null;
  private lastValue = 0;

  constructor() {
    for (const knob of knobs) this.values.set(knob.name, knob.default);
  }

  /** A name nobody registered is a programmer's mistake. */
  get(name: string): number {
    if (name === this.lastName) return this.lastValue;
    const value = this.values.get(name);
    if (value === undefined) throw new RangeError(unknown(name));
    this.lastName = name;
    this.lastValue = value;
    return value;
  }

  /** null, or the message: unknown name with the nearest ones, or the range. */
  set(name: string, value: number): string | null {
    const meant = assignment(name, value);
    if (typeof meant === 'string') return meant;
    this.store(meant.name, meant.value);
    this.byUser.add(meant.name);
    return null;
  }

  /** What was set by hand: names. */
  get setByUser(): ReadonlySet<string> {
    return this.byUser;
  }

  /**
   * A policy's own defaults; what the user set stays, what an earlier policy set is undone.
   * An unknown name or a value out of range is a RangeError, and nothing changes.
   */
  preset(values: Readonly<Record<string, number>>): void {
    const presets = new Map<string, number>();
    for (const [name, value] of Object.entries(values)) {
      const meant = assignment(name, value);
      if (typeof meant === 'string') throw new RangeError(meant);
      presets.set(meant.name, meant.value);
    }
    for (const knob of knobs) {
      if (!this.byUser.has(knob.name)) this.store(knob.name, presets.get(knob.name) ?? knob.default);
    }
  }

  private store(name: string, value: number): void {
    this.values.set(name, value);
    this.lastName = null;
  }
}
