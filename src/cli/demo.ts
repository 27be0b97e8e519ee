/** `timewait demo`: the main job. The four policies against the real kernel, or on the virtual network where there is none to be had. */
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endOnSignals, environmentLack, insideNamespace, reenter, type Lack } from '../lab/namespace.js';
import { linkWorlds, type WireKind } from '../lab/link-worlds.js';
import { playAll, type SceneResult } from '../lab/scenes.js';
import { kernelWorld, virtualWorld } from '../lab/world.js';
import { FileSink } from '../link/sink.js';
import { rungsOf } from '../view/capture.js';
import { paletteFor, type Palette } from '../view/colour.js';
import { formatLadder } from '../view/ladder.js';
import { formatTable } from '../view/table.js';
import { readPcapng } from '../wire/pcapng.js';
import { RunError, lineOf } from './fail.js';
import { terminalWidth } from './terminal.js';

export interface DemoFlags {
  json?: boolean;
  pcap?: string;
  virtual?: boolean;
  link: 'tun' | WireKind;
}

export async function demo(flags: DemoFlags, args: readonly string[]): Promise<number> {
  let lack: Lack | null = null;
  if (!insideNamespace() && flags.virtual !== true) {
    lack = environmentLack(flags.link === 'tun');
    if (lack === null) return reenter(args);
  }
  if (insideNamespace()) endOnSignals();
  const virtual = flags.virtual === true || lack !== null;
  if (flags.virtual === true && flags.link !== 'tun')
    process.stderr.write(`timewait: warning: --link ${flags.link} means nothing with --virtual\n`);
  const palette = paletteFor(process.stdout.isTTY === true, process.env);
  const say = (line: string): void =>
    void (flags.json === true ? undefined : process.stdout.write(`${line}\n`));
  const path = flags.pcap ?? join(tmpdir(), `timewait-demo-${process.pid}-${Date.now()}.pcapng`);
  const file = opened(path, flags.pcap !== undefined);
  if (lack !== null)
    process.stderr.write(`timewait: ${lack.reason}: ${lack.cure}. The demo runs on the virtual network.\n`);
  say(
    virtual
      ? 'Two of our stacks on a virtual network, virtual time; TIME-WAIT is on the server, which closes first.'
      : `The real kernel (10.77.0.1) connects to our stack (10.77.0.2) over ${flags.link === 'tun' ? 'TUN' : flags.link}; TIME-WAIT is on our side, which closes first.`,
  );
  const started = process.hrtime.bigint();
  const worlds = virtual || flags.link === 'tun' ? null : await linkWorlds(flags.link);
  const make = virtual ? virtualWorld : (worlds?.make ?? kernelWorld);
  const rows = await playAll(make, file, (more) => {
    if (process.stderr.isTTY && flags.json !== true)
      for (const row of more) process.stderr.write(`  ${row.policy}: ${row.situation}\n`);
  });
  worlds?.close();
  file.close();
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  if (flags.json === true) {
    process.stdout.write(
      `${JSON.stringify({ backend: virtual ? 'virtual' : 'kernel', link: virtual ? 'memory' : flags.link, lack, seconds, pcap: path, rows })}\n`,
    );
    return 0;
  }
  say('');
  say(demoTable(rows, palette, terminalWidth()));
  say('');
  say(ladderOf(path, palette));
  say('');
  say(`${seconds.toFixed(1)} s. Every packet, with the reason as its comment: ${path}`);
  return 0;
}

function opened(path: string, given: boolean): FileSink {
  try {
    return new FileSink(path);
  } catch (error) {
    throw new RunError(`${given ? '--pcap ' : ''}${path}: ${lineOf(error)}`);
  }
}

/** policy x accepted, refused, delay, TIME-WAIT left, reason. */
export function demoTable(rows: readonly SceneResult[], palette: Palette, columns?: number): string {
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 0)} s`;
  return formatTable(
    [
      { title: 'policy' },
      { title: 'situation', wraps: true },
      { title: 'accepted', right: true },
      { title: 'refused', right: true },
      { title: 'delay', right: true },
      { title: 'TIME-WAIT left', right: true },
      { title: 'it lasted', right: true },
      { title: 'reason' },
    ],
    rows.map((row) => [
      palette.strong(row.policy),
      row.situation,
      palette.good(String(row.accepted)),
      row.refused > 0 ? palette.bad(String(row.refused)) : '0',
      seconds(row.delay),
      row.timeWaitLeft === null ? 'none' : seconds(row.timeWaitLeft),
      row.lived === null ? '' : `${(row.lived / 1000).toFixed(3)} s`,
      row.reason === '' ? palette.dim('no record in the way') : row.reason,
    ]),
    columns,
  );
}

/**
 * The most telling exchange: by the letter of RFC 9293 a refused client kills
 * TIME-WAIT with the RST that it answers the refusal with. It is the second section of the file.
 */
function ladderOf(path: string, palette: Palette): string {
  const packets = sections(readFileSync(path))[1] ?? [];
  const rungs = rungsOf(packets, 8080, 40_000);
  const title =
    'rfc9293 by the letter: the refused client assassinates TIME-WAIT (RFC 1337), its next SYN is accepted';
  return `${palette.strong(title)}\n${formatLadder(rungs, { left: 'client :40000', right: 'timewait :8080', palette })}`;
}

/** A file of several captures: the packets of each section. */
function sections(file: Uint8Array): NonNullable<ReturnType<typeof readPcapng>>[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const starts: number[] = [];
  for (let at = 0; at + 8 <= file.length; at += Math.max(12, view.getUint32(at + 4, true))) {
    if (view.getUint32(at, true) === 0x0a0d0d0a) starts.push(at);
  }
  return starts.map((start, i) => readPcapng(file.subarray(start, starts[i + 1] ?? file.length)) ?? []);
}
