/** Runs the command line as a user would and reads what it printed. */
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { environmentLack, which } from '../../src/lab/namespace.js';

export const main = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url));
export const helper = (name: string): string => fileURLToPath(new URL(`./${name}.js`, import.meta.url));

/** Why kernel tests cannot run here, or false: for tap's `skip`. */
export function lack(): string | false {
  const found = environmentLack();
  return found === null ? false : `${found.reason}: ${found.cure}`;
}

/** Why a link cannot be tested here, or false. */
export function lacking(link: string): string | false {
  const found = lack();
  if (found !== false) return found;
  const wanted = link === 'pcap' ? 'cap' : link === 'raw' ? 'raw-socket' : null;
  if (link === 'raw' && which('nft') === null) return 'nft is not installed: apt-get install nftables';
  if (wanted === null) return false;
  try {
    createRequire(import.meta.url)(wanted);
    return false;
  } catch {
    return `the package ${wanted} is not installed: it needs a C++ compiler${wanted === 'cap' ? ' and libpcap-dev' : ''}`;
  }
}

export interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `program`: the main module of another build. */
export function timewait(args: readonly string[], program = main): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    const chunks = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => (chunks.stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (chunks.stderr += text));
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, ...chunks }));
  });
}

interface Summary {
  status: number;
  connections: { accepted: number; errors: Record<string, number> };
  timeWait: { stack: number; kernel: number };
  segments: { in: number; out: number; retransmitted: number };
  decisions: { reason: string; count: number }[];
}

/** The last line of `run --json`. */
export function summaryOf(ran: Ran): Summary {
  const lines = ran.stdout.trim().split('\n');
  return JSON.parse(lines.at(-1) ?? '') as Summary;
}
