/**
 * What a faulty wire does, and how to say it on a command line:
 *
 *     loss=2%,reorder=1%,dup=0.5%,corrupt=0.1%,delay=10ms,jitter=2ms,seed=7
 */

/** Direction as the engine sees it: `in` is what it receives. */
export type Direction = 'in' | 'out';

export interface FaultOptions {
  /** Same seed and same packets, same faults. int32. */
  readonly seed: number;
  readonly direction: Direction | 'both';
  /** Probabilities 0..1, each packet, each on its own. */
  readonly loss: number;
  readonly duplicate: number;
  readonly corrupt: number;
  readonly reorder: number;
  /** ms a reordered packet stays behind. */
  readonly reorderDelay: number;
  /** ms for every packet. */
  readonly delay: number;
  /** ms: the delay varies evenly by up to this much either way (never below 0), which reorders, too. */
  readonly jitter: number;
  /** Packets under way or held per direction; more are lost. */
  readonly limit: number;
}

export const noFaults: FaultOptions = {
  seed: 1,
  direction: 'both',
  loss: 0,
  duplicate: 0,
  corrupt: 0,
  reorder: 0,
  reorderDelay: 5,
  delay: 0,
  jitter: 0,
  limit: 4096,
};

type Writable = { -readonly [Key in keyof FaultOptions]: FaultOptions[Key] };
/** Sets a value, or returns what would have been allowed. */
type Setter = (options: Writable, text: string) => string | null;
type NumberKey = {
  [Key in keyof FaultOptions]: FaultOptions[Key] extends number ? Key : never;
}[keyof FaultOptions];

const NUMBER = /^\d+(\.\d+)?$/;
const MAX_DELAY = 3_600_000;

function rate(key: NumberKey): Setter {
  return (options, text) => {
    const percent = text.endsWith('%');
    const digits = percent ? text.slice(0, -1) : text;
    const value = NUMBER.test(digits) ? Number(digits) / (percent ? 100 : 1) : NaN;
    if (!(value <= 1)) return '0%..100% or 0..1';
    options[key] = value;
    return null;
  };
}

function milliseconds(key: NumberKey): Setter {
  return (options, text) => {
    const match = /^(\d+)(ms|s)?$/.exec(text);
    const value = match === null ? NaN : Number(match[1]) * (match[2] === 's' ? 1000 : 1);
    if (!(value <= MAX_DELAY)) return '0ms..3600s';
    options[key] = value;
    return null;
  };
}

function count(key: NumberKey, least: number, most: number): Setter {
  return (options, text) => {
    const value = /^\d+$/.test(text) ? Number(text) : NaN;
    if (!(value >= least && value <= most)) return `${least}..${most}`;
    options[key] = value;
    return null;
  };
}

const setters: ReadonlyMap<string, Setter> = new Map([
  ['loss', rate('loss')],
  ['reorder', rate('reorder')],
  ['reorder-delay', milliseconds('reorderDelay')],
  ['dup', rate('duplicate')],
  ['corrupt', rate('corrupt')],
  ['delay', milliseconds('delay')],
  ['jitter', milliseconds('jitter')],
  [
    'direction',
    (options, text) => {
      if (text !== 'in' && text !== 'out' && text !== 'both') return 'in, out, both';
      options.direction = text;
      return null;
    },
  ],
  ['limit', count('limit', 1, 65_536)],
  ['seed', count('seed', 0, 0xffffffff)],
]);

/** The keys of a fault specification, in the order lists show them. */
export const faultKeys: readonly string[] = [...setters.keys()];

/** Reads a specification. On a mistake: one line that names the key and what it allows. */
export function parseFaults(spec: string): FaultOptions | { error: string } {
  const options: Writable = { ...noFaults };
  const seen = new Set<string>();
  for (const part of spec.split(',')) {
    const equals = part.indexOf('=');
    const key = (equals < 0 ? part : part.slice(0, equals)).trim();
    const setter = setters.get(key);
    if (key === '') return { error: `faults: KEY=VALUE,...; keys are ${faultKeys.join(', ')}` };
    if (setter === undefined)
      return { error: `faults: unknown key '${key}'; allowed: ${faultKeys.join(', ')}` };
    if (seen.has(key)) return { error: `faults: ${key} is given twice` };
    seen.add(key);
    const text = equals < 0 ? '' : part.slice(equals + 1).trim();
    const allowed = setter(options, text);
    if (allowed !== null) return { error: `faults: ${key} must be ${allowed}, got '${text}'` };
  }
  return options;
}
