/** `timewait run`: our stack on a TUN device in namespaces of its own, and a command on the kernel's side. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { endOnSignals, environmentLack, insideNamespace, onSentSignals, reenter } from '../lab/namespace.js';
import { startEngine, type EngineFlags, type Engines } from './engines.js';
import { RunError, notStarted } from './fail.js';
import { STACK_SIDE, openPrivateLink } from './links.js';
import { checkPorts } from './options.js';

/** Exit status of the command. */
export async function run(
  command: readonly string[],
  flags: EngineFlags,
  args: readonly string[],
): Promise<number> {
  checkPorts(flags);
  if (!insideNamespace()) {
    const lack = environmentLack(flags.link.kind === 'tun');
    if (lack !== null) throw new RunError(`${lack.reason}: ${lack.cure}`);
    return reenter(args);
  }
  endOnSignals();
  const engines = await start(flags);
  try {
    const started = process.hrtime.bigint();
    const status = await runCommand([...engines.prefix, ...command], engines.failed);
    const seconds = Number(process.hrtime.bigint() - started) / 1e9;
    await quiet(engines);
    const { formatTally, kernelTimeWait } = await import('./tally.js');
    const kernel = kernelTimeWait(engines.prefix);
    const workers = await engines.shares();
    const rest = { command, status, seconds, pcap: engines.pcap, kernel, ...(workers && { workers }) };
    process.stdout.write(`${formatTally(await engines.tally(), rest, flags.json === true)}\n`);
    return status;
  } finally {
    await engines.close();
  }
}

async function start(flags: EngineFlags): Promise<Engines> {
  if ((flags.workers ?? 1) === 1) return startEngine(flags, STACK_SIDE, () => openPrivateLink(flags));
  const { startWorkers } = await import('./workers.js');
  return startWorkers(flags, STACK_SIDE);
}

/** Its exit status. Rejects, and ends the command, when `failed` does: there is nobody left whom it could talk to. */
function runCommand(command: readonly string[], failed: Promise<never>): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(command[0]!, command.slice(1), { stdio: 'inherit' });
    failed.catch((error: Error) => {
      child.kill();
      reject(error);
    });
    onSentSignals((signal) => void child.kill(signal));
    child.on('error', (error) => reject(notStarted(command[0]!, error)));
    child.on('exit', (code, signal) =>
      resolve(signal === null ? (code ?? 1) : 128 + constants.signals[signal]),
    );
  });
}

/** Closings that are under way get a moment, so that the summary shows where they end: until nothing changed for a while. */
async function quiet(engines: Engines): Promise<void> {
  let before = '';
  for (let i = 0; i < 20; i++) {
    const states = JSON.stringify((await engines.tally()).states);
    if (states === before) return;
    before = states;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
