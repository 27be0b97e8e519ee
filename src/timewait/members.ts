/**
 * The members of a policy as data: which there are, and what each may be or answer.
 * The tables are exhaustive: a member new in the contract does not compile without a row.
 */
import { isReason } from '../reasons.js';
import {
  ACCEPT,
  BECOME_TIME_WAIT,
  CHALLENGE,
  KEEP,
  LAST_ACK_TAKE_OVER,
  LIMITED,
  PRESSURE_EVICT_OLDEST,
  REFRESH,
  REPLY_ACK,
  REPLY_RST,
  REVERTIBLE,
  fateOf,
  reasonOf,
  replyOf,
  type Policy,
} from './policy.js';

/** Members that are asked. */
export type HookName = {
  [K in keyof Policy]: Policy[K] extends (...args: never[]) => unknown ? K : never;
}[keyof Policy];
/** Members that are read. */
export type FieldName = Exclude<keyof Policy, HookName>;

/** What is wrong with an answer to these arguments; null when nothing is. */
type AnswerCheck<H extends HookName> = (answer: unknown, ...args: Parameters<Policy[H]>) => string | null;

/** 24 days, ms: the clock is a serial number of 32 bits. */
const LONGEST = 24 * 86_400_000;
const KNOWN_BITS = REPLY_ACK | REPLY_RST | LIMITED | CHALLENGE | (7 << 4) | REFRESH | REVERTIBLE;

const answers: { readonly [H in HookName]: AnswerCheck<H> } = {
  lifetime: (answer) =>
    typeof answer === 'number' && answer >= 0 && answer <= LONGEST
      ? null
      : `${show(answer)} is no time in ms from 0 to 24 days (${LONGEST})`,
  remembersHost: truth,
  segmentArrives(answer, record, segment) {
    const mistake = notVerdict(answer);
    if (mistake !== null) return mistake;
    if (reasonOf(answer as number) === 0) return `the verdict ${show(answer)} gives no reason`;
    const fate = fateOf(answer as number);
    if (fate === ACCEPT && (!segment.hasSyn || segment.hasAck || segment.hasRst))
      return 'accepts a segment that is no SYN, or one with ACK or RST';
    if (fate === BECOME_TIME_WAIT && !(record.finWait2 && segment.hasFin))
      return 'moves to TIME-WAIT what is no FIN for a record in FIN-WAIT-2';
    return null;
  },
  isnOnReopen: int32,
  synArrives: notVerdict,
  mayReopen(answer) {
    const mistake = notVerdict(answer);
    if (mistake !== null) return mistake;
    if (reasonOf(answer as number) === 0) return `the verdict ${show(answer)} gives no reason`;
    const fate = fateOf(answer as number);
    return fate === ACCEPT || fate === KEEP ? null : 'is neither act.accept nor act.refuse';
  },
  mayBind: truth,
  preloadsStamp: truth,
  onPressure: (answer) =>
    oneOf(answer, PRESSURE_EVICT_OLDEST, 'PRESSURE_SKIP (0) nor PRESSURE_EVICT_OLDEST (1)'),
  capacity: (answer) =>
    typeof answer === 'number' && answer >= 0 ? null : `${show(answer)} is no number of records, 0 or more`,
  lastAck: (answer) =>
    oneOf(
      answer,
      LAST_ACK_TAKE_OVER,
      'LAST_ACK_CLOSED (0), LAST_ACK_TIME_WAIT (1) nor LAST_ACK_TAKE_OVER (2)',
    ),
  wordOnEntry: int32,
  wordAfter: int32,
};

/** What is wrong with the value of a field; null when nothing is. */
const fields: { readonly [F in FieldName]: (value: unknown) => string | null } = {
  name: (value) =>
    typeof value === 'string' && /^(?=.{1,64}$)[A-Za-z0-9][\w.+=-]*$/.test(value)
      ? null
      : `${show(value)} is no name: letters, digits and -_.+= after the first, at most 64`,
  aliases: lines,
  title: line,
  source: line,
  knobs: (value) =>
    isObject(value) && Object.values(value).every((number) => typeof number === 'number')
      ? null
      : `${show(value)} is no object of numbers by knob`,
  uses: lines,
  unverified: lines,
  notes: lines,
  negotiatesHolder: truth,
  orphansAsRecords: truth,
  portScope: (value) =>
    value === 'tuple' || value === 'port' ? null : `${show(value)} is neither 'tuple' nor 'port'`,
  hostLimit: (value) =>
    Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 65_536
      ? null
      : `${show(value)} is no integer from 1 to 65536`,
  keepsWord: truth,
};

export const hookNames = Object.keys(answers) as readonly HookName[];
export const fieldNames = Object.keys(fields) as readonly FieldName[];
/** Members that describe, and decide nothing. */
const DESCRIPTIONS = ['name', 'aliases', 'title', 'source', 'knobs', 'uses', 'unverified', 'notes'] as const;
/** The rules: what another policy can lend. */
export type RuleName = Exclude<keyof Policy, (typeof DESCRIPTIONS)[number]>;
export const ruleNames = [...hookNames, ...fieldNames].filter(
  (name) => !(DESCRIPTIONS as readonly string[]).includes(name),
) as readonly RuleName[];

export function isHook(name: string): name is HookName {
  return Object.hasOwn(answers, name);
}

/** What is wrong with a hook's answer, given its first two arguments; null when nothing is. */
export function answerMistake(hook: HookName, answer: unknown, a: unknown, b: unknown): string | null {
  return (answers[hook] as (answer: unknown, a: unknown, b: unknown) => string | null)(answer, a, b);
}

/** What is wrong with a member as a policy has it; null when nothing is. */
export function memberMistake(name: HookName | FieldName, value: unknown): string | null {
  if (!isHook(name)) return fields[name](value);
  return typeof value === 'function' ? null : `${show(value)} is no function`;
}

function notVerdict(answer: unknown): string | null {
  const kind = `${show(answer)} is no verdict (act.ack, act.silent, ... make them)`;
  if (typeof answer !== 'number' || !Number.isInteger(answer) || answer < 0 || answer > 0x7fffffff)
    return kind;
  if (
    (answer & 0xffff & ~KNOWN_BITS) !== 0 ||
    replyOf(answer) > REPLY_RST ||
    fateOf(answer) > BECOME_TIME_WAIT
  )
    return `${show(answer)} has action bits that mean nothing`;
  return isReason(reasonOf(answer)) ? null : `no reason has the number ${reasonOf(answer)}`;
}

function truth(value: unknown): string | null {
  return typeof value === 'boolean' ? null : `${show(value)} is neither true nor false`;
}

function int32(value: unknown): string | null {
  return typeof value === 'number' && (value | 0) === value
    ? null
    : `${show(value)} is no int32 (let the sum end with | 0)`;
}

function oneOf(value: unknown, last: number, names: string): string | null {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= last
    ? null
    : `${show(value)} is neither ${names}`;
}

function line(value: unknown): string | null {
  return typeof value === 'string' && /^[^\p{C}]{1,400}$/u.test(value)
    ? null
    : `${show(value)} is not one line of text`;
}

function lines(value: unknown): string | null {
  return Array.isArray(value) && value.every((each) => line(each) === null)
    ? null
    : `${show(value)} is no list of lines of text`;
}

export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** A value in a few words, whatever it is; calls nothing of it. */
export function show(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}...` : value);
    case 'number':
    case 'boolean':
    case 'undefined':
      return String(value);
    case 'bigint':
      return 'a bigint';
    case 'object':
      return value === null ? 'null' : Array.isArray(value) ? 'a list' : 'an object';
    default:
      return `a ${typeof value}`;
  }
}
