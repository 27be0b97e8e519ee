/**
 * `timewait connect HOST PORT`: as nc does. Through the stack behind --control, or a
 * stack of its own on a link of this network namespace.
 */
import { once } from 'node:events';
import type { Socket as UnixSocket } from 'node:net';
import type { Network } from '../net/network.js';
import type { Socket } from '../net/socket.js';
import { choosePolicy } from './choose-policy.js';
import { ask, converse, type Outcome } from './control.js';
import { RunError, lineOf } from './fail.js';
import type { StackFlags } from './options.js';
import { warnOfIdle, type DeviceFlags, type LinkFlags } from './link-options.js';
import { STACK_SIDE, checkAddresses, openLink } from './links.js';
import type { OpenLink } from './open-link.js';
import { failureOf } from './engines.js';
import { setUp } from './setup.js';

export interface ConnectFlags extends StackFlags, DeviceFlags, LinkFlags {
  control?: string;
}

export async function connect(host: string, port: number, flags: ConnectFlags): Promise<number> {
  const outcome =
    flags.control === undefined
      ? await onOwnStack(host, port, flags)
      : await throughControl(flags.control, host, port, flags);
  if (outcome.failure !== null) throw failed(host, outcome.failure);
  if (flags.json === true) {
    const { bytesRead, bytesWritten } = outcome;
    // Standard output is the peer's.
    process.stderr.write(`${JSON.stringify({ host, port, bytesRead, bytesWritten })}\n`);
  }
  return 0;
}

/** One line on standard error when there are options about a stack and a link of our own, which is not made. */
function warnOfOwn(flags: ConnectFlags): void {
  const given = Object.entries({
    '--policy': flags.policy !== 'rfc9293',
    '--hook': flags.hook.length > 0,
    '--set': flags.set.length > 0,
    '--faults': flags.faults !== undefined,
    '--pcap': flags.pcap !== undefined,
    '--link': flags.link.kind !== 'tun' || flags.link.device !== '',
    '--device': flags.device !== undefined,
    '--local': flags.address !== undefined,
    '--kernel-address': flags.kernelAddress !== undefined,
  }).flatMap(([option, isGiven]) => (isGiven ? [option] : []));
  if (given.length > 0)
    process.stderr.write(
      `timewait: warning: with --control the running stack's settings hold, not ${given.join(', ')}\n`,
    );
}

async function onOwnStack(host: string, port: number, flags: ConnectFlags): Promise<Outcome> {
  checkAddresses(flags);
  const policy = await choosePolicy(flags);
  warnOfIdle(flags);
  const opened = await openLink(flags);
  const { network, close } = await setUp(opened.link, flags.address ?? STACK_SIDE, flags, policy);
  try {
    return await Promise.race([failureOf(network), own(network, opened, host, port)]);
  } finally {
    close();
    opened.close();
  }
}

async function own(network: Network, opened: OpenLink, host: string, port: number): Promise<Outcome> {
  network.driver.hold();
  await opened.ready(network);
  network.driver.release();
  const socket = network.connect({ host, port, allowHalfOpen: true });
  let failure: string | null = null;
  try {
    await once(socket, 'connect');
    await join(socket);
    await delivered(network);
  } catch (error) {
    failure = lineOf(error);
  }
  const { bytesRead, bytesWritten } = socket;
  return { failure, bytesRead, bytesWritten };
}

/** The device goes with us: what was sent must have arrived, our FIN included. */
async function delivered(network: Network): Promise<void> {
  const unsettled = (): boolean => {
    const counts = network.stack.stateCounts();
    return ['FIN-WAIT-1', 'CLOSING', 'LAST-ACK'].some((state) => (counts[state] ?? 0) > 0);
  };
  network.driver.hold();
  while (unsettled()) await new Promise((resolve) => setTimeout(resolve, 5));
  network.driver.release();
}

function failed(host: string, line: string): RunError {
  const [, code] = /^getaddrinfo (\w+)/.exec(line) ?? [];
  return new RunError(code === undefined ? line : `${host}: no address found (${code})`);
}

async function throughControl(
  path: string,
  host: string,
  port: number,
  flags: ConnectFlags,
): Promise<Outcome> {
  warnOfOwn(flags);
  const { socket, answer } = await converse<{ id: number }>(path, {
    command: 'connect',
    host,
    port,
  }).catch((error: unknown) => Promise.reject(failed(host, lineOf(error))));
  // A connection that breaks breaks the socket as well; the stack knows why.
  await join(socket).catch(() => undefined);
  return (await ask<{ outcome: Outcome }>(path, { command: 'outcome', id: answer.id })).outcome;
}

/** stdin to the peer with half-close at its end, the peer to stdout; done when both directions ended. */
async function join(socket: Socket | UnixSocket): Promise<void> {
  const { stdin, stdout } = process;
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.once('close', () => resolve());
      // Somebody at a terminal need not type an end of file to a peer that has gone.
      if (stdin.isTTY) socket.once('end', () => socket.end());
      stdin.once('error', () => socket.end());
      stdin.pipe(socket);
      socket.pipe(stdout, { end: false });
    });
  } finally {
    stdin.unpipe(socket);
    stdin.destroy();
  }
}
