/** What the wire benchmarks found, as tables for people, beside the goals; and the section of docs/performance.md. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { fileURLToPath } from 'node:url';
import { median } from '../measure.js';
import { contenders } from './contenders.js';
import type { Settings } from './main.js';
import type { Parts } from './parts.js';

type Measured<Part extends keyof Parts> = Parts[Part] extends (...args: never[]) => Promise<infer T>
  ? T
  : never;
type Runs<T> = Readonly<Record<string, readonly T[]>>;

export interface Results {
  receive?: Runs<Measured<'bulk'>>;
  send?: Runs<Measured<'bulk'>>;
  connections?: Runs<Measured<'connections'>>;
  idleCount?: number;
  idle?: Runs<Measured<'idle'>>;
  timewait?: Runs<Measured<'population'>>;
  flood?: Runs<Measured<'flood'>>;
  /** The same with clients that do not wait. */
  busyFlood?: Runs<Measured<'flood'>>;
  startup?: Measured<'startup'>[];
}

const page = fileURLToPath(new URL('../../../docs/performance.md', import.meta.url));
const plot = fileURLToPath(new URL('../../../docs/performance-wire.svg', import.meta.url));
const MARKS = ['<!-- wire -->', '<!-- end of wire -->'] as const;

const mid = (values: readonly number[]): number => median([...values]);

function figure(value: number, digits: number): string {
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** `median (lowest..highest)` */
function spread(values: readonly number[], digits: number): string {
  if (values.length === 0) return '';
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return `${figure(mid(values), digits)} (${figure(low, digits)}..${figure(high, digits)})`;
}

function markdown(rows: readonly (readonly string[])[]): string {
  const [head = [], ...body] = rows;
  return [head, head.map((_, i) => (i === 0 ? '---' : '---:')), ...body]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');
}

function rates(results: Results): string {
  const rows = [
    [
      'server',
      'receive Gbit/s',
      'send Gbit/s',
      'connect-request-close /s',
      'CPU of both ends, us a connection',
      'p50, p99 us',
    ],
  ];
  for (const { name, title } of contenders) {
    const made = results.connections?.[name] ?? [];
    const cells = [
      spread(
        (results.receive?.[name] ?? []).map(({ rate }) => rate),
        1,
      ),
      spread(
        (results.send?.[name] ?? []).map(({ rate }) => rate),
        1,
      ),
      spread(
        made.map(({ rate }) => rate),
        0,
      ),
      spread(
        made.map(({ cpu }) => cpu),
        0,
      ),
      made.length === 0
        ? ''
        : [mid(made.map((m) => m.p50)), mid(made.map((m) => m.p99))].map((n) => figure(n, 0)).join(', '),
    ];
    if (cells.some((cell) => cell !== '')) rows.push([title, ...cells]);
  }
  return rows.length > 1 ? markdown(rows) : '';
}

function others(results: Results): string {
  const lines: string[] = [];
  for (const [name, [run]] of Object.entries(results.idle ?? {}))
    if (run !== undefined)
      lines.push(
        `- ${figure(results.idleCount!, 0)} idle connections, ${name}: opened at ${figure(run.rate, 0)} a second; one costs ` +
          `${figure(run.heap, 0)} bytes of heap and arrays, ${figure(run.bytes, 0)} of resident memory; while nothing happens ` +
          `the process takes ${figure(run.cpu * 100, 1)} % of a processor.`,
      );
  for (const [name, [run]] of Object.entries(results.timewait ?? {})) {
    if (run === undefined) continue;
    const { first, last, least } = flatness(run.each);
    lines.push(
      `- TIME-WAIT, ${name}, ${run.each.length} s${run.records > 0 ? `, a million records there before and ${figure(run.records, 0)} after` : ''}: ` +
        `${figure(first, 0)} connections a second in the first seconds, ${figure(last, 0)} in the last, the slowest second ${figure(least, 0)}; ${run.failed} failed.`,
    );
  }
  for (const runs of [results.flood, results.busyFlood])
    for (const [name, [run]] of Object.entries(runs ?? {}))
      if (run !== undefined) lines.push(flooded(name, run));
  if (results.startup !== undefined && results.startup.length > 0)
    lines.push(
      `- Start: \`timewait --version\` ${spread(
        results.startup.map(({ version }) => version),
        0,
      )} ms; ` +
        `\`timewait run\` until a SYN is answered ${spread(
          results.startup.map(({ answered }) => answered),
          0,
        )} ms.`,
    );
  return lines.join('\n');
}

function flooded(name: string, run: Measured<'flood'>): string {
  const clients =
    run.think > 0 ? `that wait ${run.think} ms between requests` : 'that do not wait between requests';
  return (
    `- ${figure(run.offered, 0)} spoofed SYNs a second beside 100 clients ${clients}, ${name}: ` +
    `${figure(run.alone, 0)} connections a second alone, ${figure(run.used, 2)} processors busy; ` +
    `${figure(run.beside, 0)} beside (${figure((100 * run.beside) / run.alone, 0)} %), ${run.failed} failed, ` +
    `${run.slow} took longer than 0.9 s, half were done within ${figure(run.p50[1], 0)} us (alone ${figure(run.p50[0], 0)}), ` +
    `99 % within ${figure(run.p99[1], 0)} (${figure(run.p99[0], 0)}); ${figure(run.entered, 0)} segments a second ` +
    `reached the stack, ${figure(run.answered, 0)} cookies left it; the flood took ${figure(run.flooder, 2)} of a processor, ` +
    `the server ${figure(run.server, 2)}; resident memory grew by ${figure(run.rss / 1e6, 1)} MB.`
  );
}

/** Rates of the first and last sixth, and of the slowest second. */
function flatness(each: readonly number[]): { first: number; last: number; least: number } {
  const part = Math.max(1, Math.floor(each.length / 6));
  return { first: mid(each.slice(0, part)), last: mid(each.slice(-part)), least: Math.min(...each) };
}

/** Medians of one measure beside each other. */
function ratio<T>(
  runs: Runs<T> | undefined,
  name: string,
  reference: string,
  of: (run: T) => number,
): number | undefined {
  const [ours, theirs] = [runs?.[name], runs?.[reference]];
  if (ours === undefined || theirs === undefined) return undefined;
  return mid(ours.map(of)) / mid(theirs.map(of));
}

/** `found` held against '>= 0.8', '> 1', '<= 1.3' or '< 1'. */
function reached(wanted: string, found: number): boolean {
  const [sign, number] = wanted.split(' ') as [string, string];
  const limit = Number(number);
  if (found === limit) return sign.endsWith('=');
  return sign.startsWith('>') ? found > limit : found < limit;
}

function goals(results: Results): string {
  const rate = ({ rate: found }: { rate: number }): number => found;
  const cpu = ({ cpu: found }: { cpu: number }): number => found;
  const { receive, send, connections } = results;
  const minute = results.timewait?.['engine']?.[0];
  const flood = results.flood?.['engine']?.[0];
  const starts = results.startup;
  const flat = minute === undefined ? undefined : flatness(minute.each);
  const goal = (what: string, wanted: string, found: number | undefined, digits = 2): string[] =>
    found === undefined || !Number.isFinite(found)
      ? []
      : [what, wanted, figure(found, digits), reached(wanted, found) ? 'yes' : 'no'];
  const rows = [
    goal('connections, engine / minimal terminator', '>= 0.8', ratio(connections, 'engine', 'minimal', rate)),
    goal('connections, engine / kernel to kernel', '>= 1.5', ratio(connections, 'engine', 'kernel', rate)),
    goal(
      'the same in the last 10 s of 60 / the first 10, a million records',
      '>= 0.9',
      flat && flat.last / flat.first,
    ),
    goal(
      'connections, our node:net / node:net on the kernel',
      '>= 1.3',
      ratio(connections, 'stream', 'node', rate),
    ),
    goal('receive, engine / kernel to kernel', '>= 0.8', ratio(receive, 'engine', 'kernel', rate)),
    goal('receive, our node:net / node:net on the kernel', '>= 1.0', ratio(receive, 'stream', 'node', rate)),
    goal('send, engine / kernel to kernel', '>= 0.8', ratio(send, 'engine', 'kernel', rate)),
    goal('send, our node:net / node:net on the kernel', '>= 1.0', ratio(send, 'stream', 'node', rate)),
    goal(
      'CPU a connection, engine / minimal terminator',
      '<= 1.3',
      ratio(connections, 'engine', 'minimal', cpu),
    ),
    goal('CPU a connection, engine / kernel to kernel', '< 1', ratio(connections, 'engine', 'kernel', cpu)),
    goal('receive packet by packet, engine / lwIP', '> 1', ratio(receive, 'engine-plain', 'lwip', rate)),
    goal('receive packet by packet, engine / gVisor', '> 1', ratio(receive, 'engine-plain', 'gvisor', rate)),
    goal('send packet by packet, engine / lwIP', '> 1', ratio(send, 'engine-plain', 'lwip', rate)),
    goal('send packet by packet, engine / gVisor', '> 1', ratio(send, 'engine-plain', 'gvisor', rate)),
    goal('clients beside a SYN flood / alone', '>= 0.9', flood && flood.beside / flood.alone),
    goal('`timewait --version`, ms', '< 150', starts && mid(starts.map((s) => s.version)), 0),
    goal(
      '`timewait run` until a SYN is answered, ms',
      '< 300',
      starts && mid(starts.map((s) => s.answered)),
      0,
    ),
  ].filter((row) => row.length > 0);
  return rows.length === 0 ? '' : markdown([['goal', 'wanted', 'found', 'reached'], ...rows]);
}

/** Everything measured, as text. */
export function printed(results: Results): string {
  return [rates(results), others(results), goals(results)].filter((part) => part !== '').join('\n\n');
}

const PANELS = ['receive', 'send', 'connections'] as const;
const UNITS = {
  receive: 'receive, Gbit/s',
  send: 'send, Gbit/s',
  connections: 'connect-request-close, 1000/s',
};
const BAR = 16;
const LEFT = 400;
const WIDTH = 830;

/** Three panels of bars, each with its range. */
function drawn(results: Results): string {
  const parts: string[] = [];
  let y = 10;
  const text = (x: number, at: number, words: string, anchor: string, more = ''): string =>
    `<text x="${x.toFixed(1)}" y="${at}" text-anchor="${anchor}"${more}>${words.replace(/[<&]/g, '')}</text>`;
  for (const panel of PANELS) {
    const runs = results[panel] as Runs<{ rate: number }> | undefined;
    if (runs === undefined) continue;
    const scale = panel === 'connections' ? 1000 : 1;
    const rows = contenders.flatMap(({ name, title }) => {
      const values = (runs[name] ?? []).map(({ rate }) => rate / scale);
      return values.length === 0 ? [] : [{ name, title, values }];
    });
    const top = Math.max(...rows.flatMap(({ values }) => values));
    const at = (value: number): number => LEFT + (value / top) * (WIDTH - LEFT - 60);
    parts.push(text(LEFT, y + 12, UNITS[panel], 'start', ' font-weight="bold"'));
    y += 20;
    for (const { name, title, values } of rows) {
      const [low, high, middle] = [Math.min(...values), Math.max(...values), mid(values)];
      const ours = name.startsWith('engine') || name === 'stream';
      parts.push(
        text(LEFT - 8, y + 12, title, 'end'),
        `<rect x="${LEFT}" y="${y + 2}" width="${(at(middle) - LEFT).toFixed(1)}" height="${BAR - 4}" fill="${ours ? '#2b6cb0' : '#a0aec0'}"/>`,
        `<line x1="${at(low).toFixed(1)}" x2="${at(high).toFixed(1)}" y1="${y + BAR / 2}" y2="${y + BAR / 2}" stroke="#1a202c"/>`,
        text(at(high) + 6, y + 12, figure(middle, 1), 'start'),
      );
      y += BAR + 2;
    }
    y += 12;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>\n${parts.join('\n')}\n</svg>\n`;
}

/** Puts the generated part into docs/performance.md, between its marks; what people wrote around it stays. */
export function writePage(results: Results, options: Settings): void {
  const made =
    `Made by \`npm run bench:wire${options.rounds === 5 ? '' : ` -- --rounds ${options.rounds}`}\`: Node ${process.version}, Linux ${release()}, ` +
    `${cpus().length} processors (${cpus()[0]?.model ?? 'unknown'}), load ${loadavg()[0]!.toFixed(1)} at the end. Medians of ` +
    `${options.rounds} rounds of ${options.seconds} s, in brackets the lowest and the highest; contenders take turns.`;
  const body = [
    MARKS[0],
    made,
    rates(results),
    '![the table as bars](performance-wire.svg)',
    others(results),
    goals(results),
    MARKS[1],
  ];
  const generated = body.join('\n\n');
  writeFileSync(plot, drawn(results));
  const old = existsSync(page) ? readFileSync(page, 'utf8') : '# Performance\n';
  const [from, to] = MARKS.map((mark) => old.indexOf(mark)) as [number, number];
  const text =
    from >= 0 && to > from
      ? old.slice(0, from) + generated + old.slice(to + MARKS[1].length)
      : `${old.trimEnd()}\n\n## Over the wire\n\n${generated}\n`;
  writeFileSync(page, text);
}
