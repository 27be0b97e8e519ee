#!/usr/bin/env node
/**
 * The command. What needs no more than a few lines is done here, before the command line and all that
 * it knows of profiles and knobs is loaded: a version, and the way of `run` into its namespaces, where
 * it starts again.
 */
import { environmentLack, insideNamespace, reenter } from '../lab/namespace.js';
import { version } from './version.js';

const args = process.argv.slice(2);
const [first = ''] = args;

if (args.length === 1 && (first === '--version' || first === '-V')) {
  process.stdout.write(`${version()}\n`);
} else if (first === 'run' && !insideNamespace() && environmentLack() === null) {
  process.exitCode = await reenter(args);
} else {
  // Its files are read while those of the command line are.
  if (first === 'run') void import('./run.js');
  const { main } = await import('./program.js');
  await main();
}
