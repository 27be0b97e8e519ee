#!/usr/bin/env node
/**
 * The command. What needs no more than a few lines is done here, before the command line and all that
 * it knows of profiles and knobs is loaded: a version, and the way of `run` into its namespaces, where
 * it starts again.
 */
import { insideNamespace, namespaceLack, programLack, reenter } from '../lab/namespace.js';
import { version } from './version.js';

const args = process.argv.slice(2);
const [first = ''] = args;

if (args.length === 1 && (first === '--version' || first === '-V')) {
  process.stdout.write(`${version()}\n`);
} else if (first === 'run' && !insideNamespace() && programLack() === null) {
  process.exitCode = await reenter(args);
  // Namespaces are tried once it has failed: the trial is time that every start would wait for.
  if (process.exitCode === 1 && namespaceLack() !== null) await commandLine();
} else {
  // Its files are read while those of the command line are.
  if (first === 'run') void import('./run.js');
  await commandLine();
}

async function commandLine(): Promise<void> {
  const { main } = await import('./program.js');
  await main();
}
