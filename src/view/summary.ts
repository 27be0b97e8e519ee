/** The summary at the end of `timewait run`: what a run did, as data and as text. */
import { formatTable } from './table.js';

export interface RunSummary {
  readonly policy: string;
  readonly command: readonly string[];
  readonly status: number;
  readonly seconds: number;
  readonly connections: {
    readonly accepted: number;
    readonly opened: number;
    readonly errors: Readonly<Record<string, number>>;
  };
  readonly bytes: { readonly in: number; readonly out: number };
  /** TIME-WAIT records of our stack, and sockets of the kernel's side in TIME-WAIT. */
  readonly timeWait: { readonly stack: number; readonly kernel: number };
  /** Connections of our stack by state, those with none left out. */
  readonly states: Readonly<Record<string, number>>;
  readonly segments: { readonly in: number; readonly out: number; readonly retransmitted: number };
  /** Packets lost between wire and stack, by what became of them; only what happened. */
  readonly losses: Readonly<Record<string, number>>;
  readonly decisions: readonly {
    readonly reason: string;
    readonly count: number;
    readonly text: string;
    readonly source: string;
  }[];
  /** The capture; of several workers their files, with a comma between. */
  readonly pcap: string | null;
  /** What each worker did, when there are several. `handedOver`: packets that came in by its queue and belonged to others. */
  readonly workers?: readonly {
    readonly accepted: number;
    readonly segments: number;
    readonly handedOver: number;
  }[];
}

/** `columns`: of the terminal; default: as wide as it needs. */
export function formatSummary(s: RunSummary, columns?: number): string {
  const errors = Object.entries(s.connections.errors).map(([code, count]) => `${code} ${count}`);
  const states = Object.entries(s.states).map(([state, count]) => `${state} ${count}`);
  const lines = [
    '',
    `command      ${s.command.join(' ')}`,
    `             exit status ${s.status} after ${s.seconds.toFixed(2)} s`,
    `policy       ${s.policy}`,
    `connections  ${s.connections.accepted} accepted, ${s.connections.opened} opened${errors.length > 0 ? `, errors: ${errors.join(', ')}` : ', no errors'}`,
    `bytes        ${s.bytes.in} in, ${s.bytes.out} out`,
    `segments     ${s.segments.in} in, ${s.segments.out} out, ${s.segments.retransmitted} retransmitted`,
    `TIME-WAIT    ${s.timeWait.stack} on our side, ${s.timeWait.kernel} on the kernel's`,
    `states       ${states.length > 0 ? states.join(', ') : 'none'}`,
  ];
  if (s.workers !== undefined) {
    const each = s.workers.map(({ accepted }, i) => `worker ${i} accepted ${accepted}`);
    const handedOver = s.workers.reduce((sum, worker) => sum + worker.handedOver, 0);
    lines.push(`workers      ${each.join(', ')}; ${handedOver} packets handed over`);
  }
  const losses = Object.entries(s.losses).map(([what, count]) => `${count} ${what}`);
  if (losses.length > 0) lines.push(`lost         ${losses.join(', ')}`);
  if (s.pcap !== null) lines.push(`capture      ${s.pcap}`);
  if (s.decisions.length > 0) {
    lines.push(
      '',
      formatTable(
        [
          { title: 'decisions', right: true },
          { title: 'reason' },
          { title: 'what', wraps: true },
          { title: 'source', wraps: true },
        ],
        s.decisions.map((d) => [String(d.count), d.reason, d.text, d.source]),
        columns,
      ),
    );
  }
  return lines.join('\n');
}
