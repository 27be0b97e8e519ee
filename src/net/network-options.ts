/** What `createNetwork` refuses by throwing, before anything is opened: names, types, what is missing. */
import { nearest } from '../nearest.js';
import type { StackOptions } from '../stack/api.js';
import { codedError, invalidType, invalidValue } from './errors.js';

type Check = (name: string, value: unknown) => void;

const typed =
  (...types: readonly string[]): Check =>
  (name, value) => {
    if (value !== null && types.includes(typeof value)) return;
    throw invalidType(name, `of type ${types.join(' or ')}`, value);
  };
const bytes: Check = (name, value) => {
  if (!(value instanceof Uint8Array)) throw invalidType(name, 'a Uint8Array of 32 bytes', value);
};
const array: Check = (name, value) => {
  if (!Array.isArray(value)) throw invalidType(name, 'an array', value);
};

const FORM = `an array of addresses with prefix length, such as '10.77.0.2/24'`;
const addresses: Check = (name, value) => {
  if (!Array.isArray(value)) throw invalidType(name, FORM, value);
  for (const one of value as unknown[]) if (typeof one !== 'string') throw invalidType(name, FORM, one);
  if (value.length === 0) throw invalidValue(name, `is empty, it must be ${FORM}`);
};

const LINK = ['receive', 'settle', 'transmit', 'onReadable', 'ref', 'unref', 'close'] as const;
const link: Check = (name, value) => {
  const given = (value ?? {}) as Record<string, unknown>;
  const lacks = LINK.find((method) => typeof given[method] !== 'function');
  if (lacks === undefined && typeof given['mtu'] === 'number') return;
  const what = 'a link, such as TunLink.open() gives';
  if (value === null || typeof value !== 'object') throw invalidType(name, what, value);
  const lack = lacks === undefined ? 'mtu' : `${lacks}()`;
  throw invalidValue(name, `must be ${what}; it has no ${lack}`);
};

const stackChecks: { readonly [K in keyof StackOptions]-?: Check } = {
  addresses,
  seed: bytes,
  mtu: typed('number'),
  now: typed('number'),
  txSlots: typed('number'),
  offload: typed('boolean'),
  gather: typed('boolean'),
  allocate: typed('function'),
  discard: typed('function'),
  hostSeed: bytes,
  owns: typed('function'),
  reservedPorts: array,
};
const stack: Check = (name, value) => {
  typed('object')(name, value);
  // A stack that is there already
  if ('receive' in (value as object)) return;
  checkAll(name, value as object, stackChecks, ['addresses']);
};

const checks: Readonly<Record<string, Check>> = {
  stack,
  link,
  clock: typed('object'),
  manual: typed('boolean'),
  policy: typed('string', 'object'),
  hookLimit: typed('number'),
  knobs: typed('object'),
};

/** `undefined` is as good as absent, but for the options in `needed`. */
function checkAll(
  of: string,
  options: object,
  known: Readonly<Record<string, Check>>,
  needed: readonly string[],
): void {
  for (const [name, value] of Object.entries(options)) {
    if (Object.hasOwn(known, name)) {
      if (value !== undefined) known[name]!(`${of}.${name}`, value);
      continue;
    }
    const near = nearest(name, Object.keys(known)).join(', ');
    const message = `unknown option '${of}.${name}', nearest: ${near}`;
    throw codedError('ERR_INVALID_ARG_VALUE', message, TypeError);
  }
  for (const name of needed)
    if ((options as Record<string, unknown>)[name] === undefined) known[name]!(`${of}.${name}`, undefined);
}

export function checkNetworkOptions(options: unknown): void {
  if (options === null || typeof options !== 'object')
    throw invalidType('options', `an object with 'stack' and 'link'`, options);
  checkAll('options', options, checks, ['stack', 'link']);
}
