/** `timewait serve`: the services on a link of the present network namespace, until interrupted. */
import { serveControl } from './control.js';
import { startEngine, type EngineFlags, type Engines } from './engines.js';
import { UsageError } from './fail.js';
import type { DeviceFlags } from './link-options.js';
import { STACK_SIDE, checkAddresses, openLink } from './links.js';
import { checkPorts } from './options.js';
import { formatTally, kernelTimeWait } from './tally.js';

export interface ServeFlags extends EngineFlags, DeviceFlags {
  control?: string;
}

function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', resolve);
    process.once('SIGTERM', resolve);
  });
}

export async function serve(flags: ServeFlags): Promise<number> {
  checkPorts(flags);
  checkAddresses(flags);
  if (flags.remember === true && flags.control === undefined)
    throw new UsageError('--remember is for `explain`, which asks through --control <socket>');
  const addresses = flags.address ?? STACK_SIDE;
  const engines = await start(flags, addresses);
  try {
    const control =
      flags.control === undefined ? null : await serveControl(await engines.control(), flags.control);
    const started = process.hrtime.bigint();
    const stopped = interrupted();
    process.stderr.write(
      `timewait: ${addresses.join(', ')} on ${engines.device}, policy ${engines.policy}${flags.workers === undefined ? '' : `, ${flags.workers} ${flags.workers === 1 ? 'worker' : 'workers'}`}\n`,
    );
    try {
      await Promise.race([stopped, engines.failed]);
    } finally {
      control?.close();
    }
    const seconds = Number(process.hrtime.bigint() - started) / 1e9;
    const workers = await engines.shares();
    const kernel = kernelTimeWait(engines.prefix);
    const command = ['timewait', 'serve'];
    const rest = {
      command,
      status: 0,
      seconds,
      pcap: engines.pcap,
      kernel,
      ...(workers && { workers }),
    };
    process.stdout.write(`${formatTally(await engines.tally(), rest, flags.json === true)}\n`);
  } finally {
    await engines.close();
  }
  // Clients of the control socket may still be there.
  process.exit(0);
}

async function start(flags: ServeFlags, addresses: readonly string[]): Promise<Engines> {
  if ((flags.workers ?? 1) === 1) return startEngine(flags, addresses, () => openLink(flags));
  const { startWorkers } = await import('./workers.js');
  return startWorkers(flags, addresses, flags);
}
