/** `timewait connect HOST PORT`: as nc does. Through the stack behind --control, or a stack of its own on a new TUN device. */
import { once } from 'node:events';
import { connect as connectUnix } from 'node:net';
import { RunError } from './fail.js';
import type { StackFlags } from './options.js';
import { STACK_SIDE } from './run.js';
import { openDevice, type DeviceFlags } from './serve.js';
import { setUp } from './setup.js';

export interface ConnectFlags extends StackFlags, DeviceFlags {
  control?: string;
}

/** A stream of bytes both ways with an end of its own each way. */
type Pipe = NodeJS.ReadWriteStream & { bytesRead: number; bytesWritten: number };

export async function connect(host: string, port: number, flags: ConnectFlags): Promise<number> {
  if (flags.control !== undefined) return throughControl(flags.control, host, port, flags.json === true);
  const link = openDevice(flags);
  const { network, close } = setUp(link, flags.address ?? STACK_SIDE, flags);
  const socket = network.connect({ host, port, allowHalfOpen: true });
  try {
    await once(socket, 'connect');
    await join(socket as unknown as Pipe);
    report(socket as unknown as Pipe, flags.json === true);
    return 0;
  } catch (error) {
    throw new RunError((error as Error).message);
  } finally {
    close();
  }
}

async function throughControl(path: string, host: string, port: number, json: boolean): Promise<number> {
  const socket = connectUnix({ path, allowHalfOpen: true });
  const first = await new Promise<Buffer>((resolve, reject) => {
    socket.once('error', () =>
      reject(
        new RunError(`no stack answers at ${path}: start one with \`timewait serve --control ${path}\``),
      ),
    );
    socket.once('connect', () => socket.write(`${JSON.stringify({ command: 'connect', host, port })}\n`));
    let text = Buffer.alloc(0);
    const gather = (bytes: Buffer): void => {
      text = Buffer.concat([text, bytes]);
      const end = text.indexOf(10);
      if (end < 0) return;
      socket.off('data', gather);
      socket.pause();
      if (text.length > end + 1) socket.unshift(text.subarray(end + 1));
      resolve(text.subarray(0, end));
    };
    socket.on('data', gather);
    socket.once('end', () => reject(new RunError('the stack ended the conversation')));
  });
  const answer = JSON.parse(first.toString()) as { ok: boolean; error?: string };
  if (!answer.ok) throw new RunError(answer.error ?? 'refused');
  await join(socket as unknown as Pipe);
  report(socket as unknown as Pipe, json);
  return 0;
}

/** stdin to the peer with half-close at its end, the peer to stdout; done when both directions ended. */
async function join(socket: Pipe): Promise<void> {
  process.stdin.pipe(socket);
  socket.pipe(process.stdout, { end: false });
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.once('close', () => resolve());
    // The peer is done: what it closed needs no more of our input, unless that is still coming from a file.
    socket.once('end', () => {
      if (process.stdin.isTTY) process.stdin.destroy();
    });
  });
  process.stdin.destroy();
}

function report(socket: Pipe, json: boolean): void {
  if (json)
    process.stderr.write(`${JSON.stringify({ bytesIn: socket.bytesRead, bytesOut: socket.bytesWritten })}\n`);
}
