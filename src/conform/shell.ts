/**
 * Shell lines of scripts. None is run here: settings are found in them, questions about the
 * state of sockets and counters are asked of the target, lines about devices have no meaning
 * for a stack without any, and what is left belongs to a shell.
 */
import { parsePipeline, type Pipeline } from './pipeline.js';
import { Reader } from './reader.js';
import { parseValue } from './values.js';

export type ShellAction =
  | { readonly kind: 'set'; readonly name: string; readonly value: string }
  /** Nothing to do; `note` says why, '' when nobody need know. */
  | { readonly kind: 'nothing'; readonly note: string }
  /** Fails when its last command finds nothing. */
  | { readonly kind: 'ask'; readonly command: string; readonly pipeline: Pipeline }
  /** A command about devices, routes, delays: for a target that has any. */
  | { readonly kind: 'device'; readonly words: readonly string[] }
  /** `tcpdrop -s STATE`: connections in that state end at once. */
  | { readonly kind: 'drop'; readonly state: string }
  | { readonly kind: 'foreign'; readonly command: string };

/** The text of another file that a script names, null when it cannot be read. */
export type Include = (path: string) => string | null;

/** Commands that set up devices, routes, keys and delays. */
const DEVICES = new Set(
  'tc ethtool ip ifconfig route iptables ip6tables nft modprobe kldload kldstat setkey'.split(' '),
);
/** Commands without an effect on a run. */
const HARMLESS = new Set(['true', ':', 'set', 'sleep', 'sync', 'exit']);
/** Files within files at most. */
const DEEPEST = 4;

/** The commands of one back-quoted text, in order. */
export function readShell(text: string, include: Include = () => null, depth = 0): ShellAction[] {
  return text
    .replace(/\\\n/g, ' ')
    .replace(/\$\(\(([^()]*(?:\([^()]*\)[^()]*)*)\)\)/g, (_, sum: string) => arithmetic(sum))
    .split(/\n|;|&&/)
    .map((command) => command.replace(/(^|\s)#.*$/, '').trim())
    .filter((command) => command !== '')
    .flatMap((command) => readCommand(command, include, depth));
}

/** `$((15*1024*1024))`; what is no number stays as it is. */
function arithmetic(sum: string): string {
  if (!/^[\d\s+*()-]+$/.test(sum)) return `$((${sum}))`;
  const value = parseValue(new Reader(sum.trim()));
  return value.kind === 'number' ? String(value.value) : `$((${sum}))`;
}

function readCommand(written: string, include: Include, depth: number): ShellAction[] {
  // What stands behind || is for a command that fails; settings do not
  const command = written.split('||')[0]!.trim();
  const pipeline = parsePipeline(command);
  if (pipeline !== null) return [{ kind: 'ask', command, pipeline }];
  const words = wordsOf(command);
  const path = words[0] ?? '';
  const program = path.replace(/^.*\//, '');
  if (DEVICES.has(program)) return [{ kind: 'device', words: [program, ...words.slice(1)] }];
  if (HARMLESS.has(program)) return [];
  if (/restore/.test(program))
    return [{ kind: 'nothing', note: 'settings need no putting back: a script has its own' }];
  if (program === 'tcpdrop' && words[1] === '-s' && words[2] !== undefined)
    return [{ kind: 'drop', state: words[2] }];
  if (/^[\w-]+\.sh$/.test(program) && words.length === 1) return included(path, include, depth, command);
  const echoed = /^echo\s+(.*?)\s*>\s*\/(proc\/sys|sys\/module)\/(\S+)$/.exec(command);
  if (echoed !== null) {
    const value = echoed[1]!.replace(/^["']|["']$/g, '');
    return [set(echoed[2] === 'sys/module' ? `module.${echoed[3]!}` : echoed[3]!, value)];
  }
  if (program === 'sysctl' || /sysctls?\.(py|sh)$/.test(program)) {
    const settings = words.slice(1).filter((word) => !word.startsWith('-'));
    const pairs = settings.map((word) => /^([^=]+)=(.*)$/.exec(word));
    if (settings.length > 0 && pairs.every((pair) => pair !== null))
      return pairs.map((pair) => set(pair![1]!.trim(), pair![2]!.trim()));
  }
  return [{ kind: 'foreign', command }];
}

/** A file of shell lines is read, not run: each of its lines is understood like any other. */
function included(path: string, include: Include, depth: number, command: string): ShellAction[] {
  const text = depth < DEEPEST ? include(path) : null;
  if (text !== null) return readShell(text, include, depth + 1);
  const name = path.replace(/^.*\//, '');
  if (name === 'defaults.sh')
    return [{ kind: 'nothing', note: `'${name}' was not found: knobs are at their defaults` }];
  return [{ kind: 'foreign', command }];
}

function set(name: string, value: string): ShellAction {
  return { kind: 'set', name: name.replace(/^\/proc\/sys\//, '').replaceAll('/', '.'), value };
}

/** Words with quotes taken off; redirections of output to nowhere are no words. */
function wordsOf(command: string): string[] {
  const words =
    command.replace(/[\d&]?>+\s*(\/dev\/null|&\d)/g, '').match(/(?:[^\s"']|"[^"]*"|'[^']*')+/g) ?? [];
  return words.map((word) => word.replace(/["']/g, ''));
}
