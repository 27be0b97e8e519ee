/**
 * Every link against the real kernel, as root and as an ordinary user: connections, bulk both
 * ways with the bytes checked, what was lost. Prints the table of docs/links.md; with --write
 * puts it there.
 *
 *   node dist/bench/links.js [--write] [--connections 1000] [--bytes 200000000] [--link LINK]
 */
import { createHash } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { RunSummary } from '../src/view/summary.js';

const main = fileURLToPath(new URL('../lib/cli/main.js', import.meta.url));
const client = fileURLToPath(new URL('../test/kernel/clients.js', import.meta.url));
const page = fileURLToPath(new URL('../../docs/links.md', import.meta.url));
const MARKS = ['<!-- table -->', '<!-- end of table -->'] as const;

const { values } = parseArgs({
  options: {
    write: { type: 'boolean', default: false },
    connections: { type: 'string', default: '1000' },
    bytes: { type: 'string', default: '200000000' },
    link: { type: 'string', multiple: true, default: ['tun', 'raw', 'pcap', 'packet'] },
  },
});
const count = Number(values.connections);
const bytes = Number(values.bytes);

const folder = mkdtempSync(join(tmpdir(), 'timewait-links-'));
const upload = join(folder, 'up');
const data = Buffer.alloc(bytes);
for (let i = 0; i < bytes; i++) data[i] = i % 251;
writeFileSync(upload, data, { mode: 0o644 });
spawnSync('chmod', ['755', folder]);
const sha = createHash('sha256').update(data).digest('hex');

interface Measured {
  readonly seconds: number;
  readonly stdout: string;
  readonly summary: RunSummary;
}

/** One run of a command at the kernel's end; a string says why there was none. */
function measure(link: string, ordinary: boolean, script: string): Measured | string {
  const before = ordinary ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];
  const services = ['--http', '80', '--echo', '7', '--close-first'];
  const command = [...before, process.execPath, main, 'run', '--json', '--link', link, ...services];
  const [program, ...args] = [...command, '--', 'sh', '-c', script];
  const ran = spawnSync(program!, args, { encoding: 'utf8', cwd: '/', maxBuffer: 1 << 24 });
  if (ran.status !== 0) return (ran.stderr || ran.stdout).trim().split('\n').at(-1) ?? 'failed';
  const lines = ran.stdout.trim().split('\n');
  const summary = JSON.parse(lines.at(-1)!) as RunSummary;
  return { seconds: summary.seconds, stdout: lines.slice(0, -1).join('\n'), summary };
}

const round = (value: number): string => Math.round(value).toLocaleString('en-US');

/** What a transfer was like; throws when the bytes are not the same. */
function bulk(measured: Measured, time: RegExp): string {
  if (!measured.stdout.includes(sha)) throw new Error(`other bytes: ${measured.stdout}`);
  const seconds = Number(time.exec(measured.stdout)?.[1]);
  const { in: got, out: sent } = measured.summary.segments;
  return `${round(bytes / seconds / 1e6)} MB/s, ${round((got + sent) / seconds)}/s`;
}

function lossOf(...runs: readonly Measured[]): string {
  const sums: Record<string, number> = {};
  for (const { summary } of runs) {
    const { retransmitted } = summary.segments;
    for (const [what, lost] of Object.entries({ ...summary.losses, retransmitted }))
      if (lost > 0) sums[what] = (sums[what] ?? 0) + lost;
  }
  return (
    Object.entries(sums)
      .map(([what, lost]) => `${round(lost)} ${what}`)
      .join(', ') || 'none'
  );
}

function row(link: string, host: string, ordinary: boolean): string[] {
  const url = host.includes(':') ? `http://[${host}]` : `http://${host}`;
  const head = [`\`${link}\``, host.includes(':') ? 'IPv6' : 'IPv4', ordinary ? 'ordinary' : 'root'];
  const opened = measure(link, ordinary, `${process.execPath} ${client} ${host} 7 ${count} 32`);
  if (typeof opened === 'string') return [...head, opened, '', '', ''];
  const down = measure(
    link,
    ordinary,
    `curl -g -sf -w '%{stderr}time %{time_total}\\n' ${url}/bytes/${bytes} 2>${folder}/t | sha256sum; cat ${folder}/t; rm -f ${folder}/t`,
  );
  const up = measure(link, ordinary, `curl -g -sf -T ${upload} -w 'time %{time_total}\\n' ${url}/sink`);
  if (typeof down === 'string' || typeof up === 'string')
    return [...head, `${down as string}${up as string}`, '', '', ''];
  const said = JSON.parse(opened.stdout) as { done: number; errors: object };
  if (said.done !== count || Object.keys(said.errors).length > 0) throw new Error(opened.stdout);
  const time = /time ([\d.]+)/;
  return [
    ...head,
    `${round(count / opened.seconds)}/s`,
    bulk(down, time),
    bulk(up, time),
    lossOf(opened, down, up),
  ];
}

const titles = ['link', 'IP', 'user', `${round(count)} connections`, 'from us', 'to us', 'lost', 'load'];
const users = process.getuid?.() === 0 ? [false, true] : [false];
spawnSync('chmod', ['1777', folder]);
const rows: string[][] = [];
try {
  for (const ordinary of users)
    for (const link of values.link)
      for (const host of ['10.77.0.2', 'fd77::2']) {
        rows.push([...row(link, host, ordinary), loadavg()[0]!.toFixed(1)]);
        process.stderr.write(`${rows.at(-1)!.join(' | ')}\n`);
      }
} finally {
  rmSync(folder, { recursive: true });
}

const made =
  `Made by \`node dist/bench/links.js --write\`, ${round(bytes / 1e6)} MB each way: Node ${process.version}, Linux ${release()}, ` +
  `${cpus().length} processors (${cpus()[0]?.model ?? 'unknown'}). Load is that of the whole machine over the last minute.`;
const table = [titles, titles.map(() => '---'), ...rows]
  .map((cells) => `| ${cells.join(' | ')} |`)
  .join('\n');
const text = `${MARKS[0]}\n\n${made}\n\n${table}\n\n${MARKS[1]}`;
if (values.write) {
  const old = readFileSync(page, 'utf8');
  const [from, to] = MARKS.map((mark) => old.indexOf(mark)) as [number, number];
  writeFileSync(page, old.slice(0, from) + text + old.slice(to + MARKS[1].length));
} else process.stdout.write(`${made}\n\n${table}\n`);
