/** `timewait packetdrill-server`: our stack under virtual time, for an unmodified packetdrill with our plug-in. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defaultSettings, type PluginSettings } from '../conform/plugin-flags.js';
import { RequestReader } from '../conform/plugin-protocol.js';
import { PluginSession } from '../conform/plugin-session.js';
import { removeStale } from './control.js';
import { RunError, UsageError, lineOf, notStarted } from './fail.js';

export interface PacketdrillFlags {
  socket?: string;
  profile: string;
  set: { name: string; value: number }[];
  mtu: number;
  quiet?: boolean;
}

/** Stands for the plug-in's path in the command. */
const PLACE = '{}';

/** The object that packetdrill loads. */
export function pluginPath(): string {
  return fileURLToPath(new URL('../../../native/build/Release/timewait_packetdrill.so', import.meta.url));
}

/** Serves until interrupted, or as long as `command` runs: then with its exit status. */
export async function packetdrillServer(
  command: readonly string[],
  flags: PacketdrillFlags,
): Promise<number> {
  const plugin = pluginPath();
  if (!existsSync(plugin)) {
    throw new RunError(
      `the plug-in was not built (${plugin}): install a C compiler, then \`npm run build\` says what else hinders it`,
    );
  }
  if (command.length === 0 && flags.socket === undefined)
    throw new UsageError('--socket PATH is needed to serve without a command behind --');
  const settings: PluginSettings = {
    ...defaultSettings,
    profile: flags.profile,
    knobs: flags.set,
    mtu: flags.mtu,
  };
  const say = (line: string): void => {
    if (flags.quiet !== true) process.stderr.write(`timewait: ${line}\n`);
  };
  const directory = flags.socket === undefined ? mkdtempSync(join(tmpdir(), 'timewait-')) : null;
  const path = flags.socket ?? join(directory!, 'packetdrill');
  try {
    const server = await listen(path, settings, say);
    try {
      if (command.length > 0) return await runCommand(command, path, plugin);
      process.stdout.write(
        `packetdrill --so_filename=${plugin} --so_flags=socket=${path} SCRIPT, with LD_PRELOAD=${plugin}\n`,
      );
      await interrupted();
      return 0;
    } finally {
      server.close();
    }
  } finally {
    if (directory !== null) rmSync(directory, { recursive: true, force: true });
  }
}

async function listen(path: string, settings: PluginSettings, say: (line: string) => void): Promise<Server> {
  await removeStale(path, '--socket');
  const server = createServer((socket) => converse(socket, settings, say));
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new RunError(`--socket ${path}: ${lineOf(error)}`)));
    server.listen(path, resolve);
  });
  return server;
}

/** One run of the tool: a stack of its own. */
function converse(socket: Socket, settings: PluginSettings, say: (line: string) => void): void {
  const session = new PluginSession(settings, say);
  const reader = new RequestReader();
  socket.on('data', (bytes) => {
    try {
      for (const request of reader.push(bytes))
        for (const reply of session.handle(request)) socket.write(reply);
    } catch (error) {
      say(`a run of packetdrill ends: ${lineOf(error)}`);
      socket.destroy();
    }
  });
  // A tool that was killed
  socket.on('error', () => socket.destroy());
  socket.on('close', () => session.close());
}

function runCommand(command: readonly string[], path: string, plugin: string): Promise<number> {
  const [name, ...args] = command.map((part) => part.replaceAll(PLACE, plugin));
  const env = { ...process.env, TIMEWAIT_PACKETDRILL: path, LD_PRELOAD: plugin };
  return new Promise((resolve, reject) => {
    const child = spawn(name!, args, { stdio: 'inherit', env });
    child.on('error', (error) => reject(notStarted(name!, error)));
    child.on('exit', (status, signal) => {
      resolve(status ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}

function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', resolve);
    process.once('SIGTERM', resolve);
  });
}
