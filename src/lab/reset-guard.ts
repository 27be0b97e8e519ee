/**
 * Keeps the kernel from resetting connections of ours on addresses that it has too: an nftables
 * table with one rule, which drops the RSTs that the kernel sends from exactly our ports. The
 * table belongs to a process of nft(8) that reads our orders; when that ends, and it does when
 * we end, however we end, the kernel removes the table.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { spawnSync } from 'node:child_process';
import { which } from './namespace.js';

export interface GuardOptions {
  /** Without prefix length. */
  readonly addresses: readonly string[];
  /** Ports and ranges as nft writes them: '80', '32768-60999'. */
  readonly ports: readonly string[];
  /** Packets with this mark are ours. */
  readonly mark: number;
}

/** ms for nft to do it. */
const PATIENCE = 5000;
const TRIES = PATIENCE / 20;

export class ResetGuard {
  private constructor(
    private readonly child: ChildProcess,
    readonly table: string,
  ) {}

  /** Throws Error with one line, the command to do it by hand included. */
  static async start(options: GuardOptions): Promise<ResetGuard> {
    const nft = which('nft');
    const table = `timewait_${process.pid}`;
    if (nft === null)
      throw new Error(
        `nft(8) is not installed: apt-get install nftables (dnf install nftables), or by hand: ${byHand(options)}`,
      );
    const child = spawn(nft, ['-i'], { stdio: ['pipe', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
    child.on('error', (error) => (said += error.message));
    child.stdin.on('error', () => undefined);
    child.unref();
    child.stdin.write(
      `add table inet ${table} { flags owner; }\n${rules(`inet ${table}`, options).join('\n')}\n`,
    );
    const guard = new ResetGuard(child, table);
    for (let tries = 0; tries < TRIES && said === '' && child.exitCode === null; tries++) {
      const seen = spawnSync(nft, ['list', 'table', 'inet', table], { encoding: 'utf8' });
      if (seen.stdout.includes(' drop')) return guard;
      await sleep(20);
    }
    guard.close();
    const why = said.trim().split('\n')[0] ?? '';
    throw new Error(`nft: ${why || 'no answer'}; by hand: ${byHand(options)}`);
  }

  /** Ends nft, and the table with it. Idempotent. */
  close(): void {
    this.child.stdin?.end();
    this.child.kill('SIGKILL');
  }
}

function rules(table: string, { addresses, ports, mark }: GuardOptions): string[] {
  const set = `{ ${ports.join(', ')} }`;
  const sources = (v6: boolean): string => addresses.filter((each) => each.includes(':') === v6).join(', ');
  const rule = (family: string, list: string): string[] =>
    list === ''
      ? []
      : [
          `add rule ${table} output ${family} saddr { ${list} } tcp sport ${set} ` +
            `tcp flags & rst == rst meta mark != ${mark} counter drop`,
        ];
  return [
    `add chain ${table} output { type filter hook output priority 0; }`,
    ...rule('ip', sources(false)),
    ...rule('ip6', sources(true)),
  ];
}

function byHand(options: GuardOptions): string {
  const lines = ['add table inet timewait', ...rules('inet timewait', options)];
  return lines.map((line) => `nft '${line}'`).join(' && ');
}
