#!/usr/bin/env node
/** The command line: arguments in, one call, text or JSON out. Each command loads its parts when it runs. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { RunError, UsageError, lineOf } from './fail.js';
import { withStackOptions, type StackFlags } from './options.js';

function version(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

const args = process.argv.slice(2);

/** Ends the process with the command's status. */
async function finish(status: Promise<number>): Promise<void> {
  process.exitCode = await status;
}

function program(): Command {
  const timewait = new Command('timewait')
    .description('a userspace TCP stack whose TIME_WAIT behaviour is a choice')
    .version(version())
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ outputError: () => undefined });
  withStackOptions(
    timewait
      .command('run')
      .description(
        'our stack on TUN in private namespaces, COMMAND on the kernel side (10.77.0.1, fd77::1; ours is 10.77.0.2, fd77::2)',
      )
      .argument('<command...>', 'program and its arguments, behind --')
      .passThroughOptions(),
  ).action(async (command: string[], flags: StackFlags) => {
    const { run } = await import('./run.js');
    await finish(run(command, flags, args));
  });
  timewait
    .command('demo')
    .description('the four policies against the real kernel: what each accepts, refuses and why (about 20 s)')
    .option('--virtual', 'on the virtual network, without the kernel')
    .option('--pcap <file>', 'where the packets go, default a file in the temporary directory')
    .option('--json', 'print JSON')
    .action(async (flags: { json?: boolean; pcap?: string; virtual?: boolean }) => {
      const { demo } = await import('./demo.js');
      await finish(demo(flags, args));
    });
  for (const command of timewait.commands)
    command.exitOverride().configureOutput({ outputError: () => undefined });
  return timewait;
}

async function main(): Promise<void> {
  try {
    await program().parseAsync(process.argv);
  } catch (error) {
    if (error instanceof CommanderError) {
      // --help and --version end here as well, with status 0.
      if (error.exitCode === 0) return;
      process.stderr.write(`timewait: ${lineOf(error).replace(/^error: /, '')}\n`);
      process.exitCode = 2;
      return;
    }
    process.stderr.write(`timewait: ${lineOf(error)}\n`);
    process.exitCode = error instanceof UsageError ? 2 : error instanceof RunError ? 1 : 1;
  }
}

await main();
