/**
 * Shell lines of scripts. None is run here: settings are found in them, lines about devices
 * have no meaning for a stack without any, and what is left belongs to a shell.
 */

export type ShellAction =
  | { readonly kind: 'set'; readonly name: string; readonly value: string }
  /** Nothing to do; `note` says why. */
  | { readonly kind: 'nothing'; readonly note: string }
  | { readonly kind: 'foreign'; readonly command: string };

/** Commands that set up devices, routes and delays. */
const DEVICES = new Set([
  'tc',
  'ethtool',
  'ip',
  'ifconfig',
  'route',
  'iptables',
  'ip6tables',
  'nft',
  'modprobe',
  'kldload',
]);
/** Commands without an effect on a run. */
const HARMLESS = new Set(['true', ':', 'set', 'sleep', 'sync']);

/** The commands of one back-quoted text, in order. */
export function readShell(text: string): ShellAction[] {
  return text
    .replace(/\\\n/g, ' ')
    .split(/\n|;|&&/)
    .map((command) => command.replace(/(^|\s)#.*$/, '').trim())
    .filter((command) => command !== '')
    .flatMap(readCommand);
}

function readCommand(command: string): ShellAction[] {
  const words = wordsOf(command);
  const program = (words[0] ?? '').replace(/^.*\//, '');
  if (DEVICES.has(program))
    return [{ kind: 'nothing', note: `'${program}' has no effect here: there is no device` }];
  if (HARMLESS.has(program)) return [];
  if (/defaults\.sh$/.test(program))
    return [{ kind: 'nothing', note: `'${program}' has no effect here: knobs are at their defaults` }];
  const echoed = /^echo\s+(.*?)\s*>\s*\/proc\/sys\/(\S+)$/.exec(command);
  if (echoed !== null) return [set(echoed[2]!, echoed[1]!.replace(/^["']|["']$/g, ''))];
  if (program === 'sysctl' || /sysctls?\.(py|sh)$/.test(program)) {
    const settings = words.slice(1).filter((word) => !word.startsWith('-'));
    const pairs = settings.map((word) => /^([^=]+)=(.*)$/.exec(word));
    if (settings.length > 0 && pairs.every((pair) => pair !== null))
      return pairs.map((pair) => set(pair![1]!.trim(), pair![2]!.trim()));
  }
  return [{ kind: 'foreign', command }];
}

function set(name: string, value: string): ShellAction {
  return { kind: 'set', name: name.replace(/^\/proc\/sys\//, '').replaceAll('/', '.'), value };
}

/** Words with quotes taken off; redirections of output to nowhere are no words. */
function wordsOf(command: string): string[] {
  const words =
    command.replace(/\d?>+\s*(\/dev\/null|&\d)/g, '').match(/(?:[^\s"']|"[^"]*"|'[^']*')+/g) ?? [];
  return words.map((word) => word.replace(/["']/g, ''));
}
