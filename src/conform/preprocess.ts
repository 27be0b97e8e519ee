/**
 * What happens to a script's text before it is parsed: comments and sections that are not for
 * this run become spaces, words that were defined become what they stand for. Every place keeps
 * its line, and its column as long as no such word stands before it.
 */
import { Failure } from './reader.js';

const blank = (text: string): string => text.replace(/[^\n]/g, ' ');

/** What holds text that is no notation: texts, shell lines, code. */
const OPAQUE = '"(?:[^"\\\\\\n]|\\\\.)*"|`[^`]*`|%\\{[\\s\\S]*?\\}%';

/** `//` and block comments; not inside texts, shell lines and code. Lines of `#!` and `# ` are comments, too. */
function withoutComments(text: string): string {
  // One alternative for each thing that may hold what looks like a comment.
  const pattern = new RegExp(
    `${OPAQUE}|//[^\\n]*|/\\*[\\s\\S]*?(?:\\*/|(?![\\s\\S]))|^[ \\t]*#(?![a-z])[^\\n]*`,
    'gm',
  );
  return text.replace(pattern, (found, at: number) => {
    if (found.startsWith('/*') && !found.endsWith('*/'))
      throw new Failure("found the end of the file; expected '*/' for this", at);
    return /^(\/[/*]|[ \t]*#)/.test(found) ? blank(found) : found;
  });
}

interface Section {
  /** Place of its #ifdef. */
  readonly at: number;
  /** The sections around it are for this run. */
  readonly outer: boolean;
  taken: boolean;
  readonly holds: boolean;
  otherwise: boolean;
}

const DEFINE = /^--define=([A-Za-z_]\w*)(?:=(\S+))?/gm;

function withSymbols(text: string, symbols: ReadonlyMap<string, string>): string {
  if (symbols.size === 0) return text;
  const word = new RegExp(`${OPAQUE}|^--[^\\n]*|\\b[A-Za-z_]\\w*\\b`, 'gm');
  return text.replace(word, (found) => symbols.get(found) ?? found);
}

/**
 * `defined`: the names for which `#ifdef` holds; `symbols`: words and what they stand for. Lines
 * `--define=NAME[=VALUE]` add to both. Throws a Failure.
 */
export function preprocess(
  source: string,
  defined: ReadonlySet<string>,
  symbols: ReadonlyMap<string, string>,
): string {
  const bare = withoutComments(source);
  const own = [...bare.matchAll(DEFINE)];
  const names = new Set([...defined, ...symbols.keys(), ...own.map(([, name]) => name!)]);
  const words = own.flatMap(([, name, value]) => (value === undefined ? [] : [[name!, value] as const]));
  // What the run defines counts, whatever the script says
  return withSymbols(sections(bare, names), new Map([...words, ...symbols]));
}

function sections(text: string, defined: ReadonlySet<string>): string {
  const stack: Section[] = [];
  let at = 0;
  const lines = text.split('\n').map((line) => {
    const start = at;
    at += line.length + 1;
    const active = stack.every((section) => section.taken);
    const directive = /^[ \t]*#([a-z]+)(?:[ \t]+(\S+))?[ \t\r]*(.*)$/.exec(line);
    if (directive === null) return active ? line : blank(line);
    const [, word, name, rest] = directive;
    const here = start + line.indexOf('#');
    const top = stack.at(-1);
    switch (word) {
      case 'ifdef':
      case 'ifndef': {
        if (name === undefined || rest !== '')
          throw new Failure(`found '${line.trim()}'; expected #${word} and one name`, here);
        const holds = defined.has(name) === (word === 'ifdef');
        stack.push({ at: here, outer: active, taken: active && holds, holds, otherwise: false });
        break;
      }
      case 'else':
        if (top === undefined || top.otherwise)
          throw new Failure("found '#else'; expected it behind an #ifdef or #ifndef, once", here);
        top.otherwise = true;
        top.taken = top.outer && !top.holds;
        break;
      case 'endif':
        if (stack.pop() === undefined)
          throw new Failure("found '#endif'; expected it behind an #ifdef or #ifndef", here);
        break;
      default:
        if (active) throw new Failure(`found '#${word}'; expected #ifdef, #ifndef, #else or #endif`, here);
    }
    return blank(line);
  });
  if (stack.length > 0)
    throw new Failure('found the end of the file; expected an #endif for this', stack.at(-1)!.at);
  return lines.join('\n');
}
