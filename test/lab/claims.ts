/**
 * What the texts that people read about TIME_WAIT claim, in our words, with today's
 * verdict, and what the hazard suite must show for it. The numbers are those that
 * hazards name in `claims`.
 */
import type { Cell } from '../../src/lab/hazards/suite.js';

/** A cell of the default run, or of one with other knobs. */
export type Look = (hazard: string, profile: string, knobs?: Readonly<Record<string, number>>) => Cell;

export interface Claim {
  readonly row: number;
  readonly claim: string;
  readonly verdict: string;
  /** Empty when the suite shows it, else what it shows instead. */
  readonly check: (look: Look) => string;
}

/** '' when all of them hold, else the first that does not. */
function all(...facts: readonly (readonly [what: string, holds: boolean])[]): string {
  return facts.find(([, holds]) => !holds)?.[0] ?? '';
}

const near = (value: number | null, wanted: number, share = 0.03): boolean =>
  value !== null && Math.abs(value - wanted) <= share * wanted;

export const claims: readonly Claim[] = [
  {
    row: 4,
    claim: 'the TTL enforces the maximum segment lifetime',
    verdict: 'half: it counts hops; a segment that is merely slow outlives TIME-WAIT',
    check: (look) =>
      all(['a slow segment is delivered after 60 s', look('older-than-2msl', 'linux').kind === 'corrupts']),
  },
  {
    row: 8,
    claim: 'the factor 2 is one lifetime for the last ACK and one for the answer',
    verdict: 'right as an argument: below it old data gets through',
    check: (look) =>
      all(
        ['2*MSL of 120 s is safe', look('ghost-data', 'rfc9293').kind === 'safe'],
        [
          'half of it is not',
          look('ghost-data', 'rfc9293', { 'net.ipv4.tcp_msl': 30_000 }).kind === 'corrupts',
        ],
      ),
  },
  {
    row: 9,
    claim: 'were TIME-WAIT only for the last ACK, it could follow the RTO',
    verdict: 'right: 3.5*RTO answers the repeated FIN, only 2*MSL keeps ghosts out',
    check: (look) =>
      all(
        ['recycle answers the FIN', look('lost-last-ack', 'linux-recycle').kind === 'safe'],
        ['recycle lets the ghost in', look('ghost-after-refusal', 'linux-recycle').kind === 'corrupts'],
        ['2*MSL does neither', look('ghost-after-refusal', 'rfc1337').kind === 'safe'],
      ),
  },
  {
    row: 12,
    claim: 'old duplicates must not enter a new incarnation of the tuple',
    verdict: 'right: none corrupts, strict does not, timestamps drop it',
    check: (look) =>
      all(
        ['none corrupts', look('ghost-data', 'none').kind === 'corrupts'],
        ['strict is safe', look('ghost-data', 'rfc9293').kind === 'safe'],
        ['PAWS drops it', look('ghost-data-timestamps', 'none').kind === 'safe'],
      ),
  },
  {
    row: 13,
    claim: 'that a ghost fits is very unlikely',
    verdict: 'right for one try, when both ends choose their sequence numbers well',
    check: (look) =>
      all(
        ['with a clocked ISN of its own it misses', look('ghost-data-own-isn', 'linux').kind === 'safe'],
        ['in the worst case it fits', look('ghost-after-refusal', 'linux').kind === 'corrupts'],
      ),
  },
  {
    row: 14,
    claim: 'a lost last ACK and no TIME-WAIT: the repeated FIN is answered by RST',
    verdict: 'right on the wire',
    check: (look) =>
      all(
        ['none resets', look('lost-last-ack', 'none').kind === 'error'],
        ['strict acknowledges', look('lost-last-ack', 'rfc9293').kind === 'safe'],
      ),
  },
  {
    row: 15,
    claim: 'a peer stuck in LAST-ACK makes the next connection fail',
    verdict: 'wrong on modern stacks: challenge ACK, RST, and the repeated SYN succeeds after a second',
    check: (look) => {
      const { kind, value } = look('last-ack-syn', 'none');
      return all(['it is late by a second', kind === 'delays' && near(value, 1, 0.1)]);
    },
  },
  {
    row: 16,
    claim: 'what arrives after 2*MSL and fits goes to the program; TLS decides the damage',
    verdict: 'right; timestamps stop it as well',
    check: (look) =>
      all(
        ['a plain stream is corrupted', look('older-than-2msl', 'rfc9293').kind === 'corrupts'],
        ['a sealed one is lost, not corrupted', look('ghost-data-tls', 'none').kind === 'refuses'],
        ['timestamps drop it', look('older-than-2msl-timestamps', 'rfc9293').kind === 'safe'],
      ),
  },
  {
    row: 17,
    claim: 'sequence numbers wrap',
    verdict: 'right: on a 64 ns clock a new SYN looks old after 137 s',
    check: (look) => all(['FreeBSD makes it wait', look('sequence-wrap', 'freebsd').kind === 'delays']),
  },
  {
    row: 18,
    claim: 'assassination defeats TIME-WAIT',
    verdict: 'right with tcp_rfc1337=0, cured with 1',
    check: (look) =>
      all(
        ['by default it dies', look('assassination-rst', 'linux').kind === 'killed'],
        [
          'RFC 1337 F1 keeps it',
          look('assassination-rst', 'linux', { 'net.ipv4.tcp_rfc1337': 1 }).kind === 'safe',
        ],
        ['H1 follows', look('rfc1337-h1', 'rfc9293').kind === 'corrupts'],
        ['and not with F1', look('rfc1337-h1', 'rfc1337').kind === 'safe'],
      ),
  },
  {
    row: 19,
    claim: 'TIME-WAIT on the client eats ports until connect() fails',
    verdict: 'right: EADDRNOTAVAIL',
    check: (look) =>
      all(['connect() fails', look('port-exhaustion', 'linux').note.includes('EADDRNOTAVAIL')]),
  },
  {
    row: 21,
    claim: '28,232 outbound connections',
    verdict: 'per destination: 470 a second at 60 s',
    check: (look) => all(['470/s', near(look('port-exhaustion', 'linux').value, 470)]),
  },
  {
    row: 23,
    claim: 'Windows has about 4,000 ports',
    verdict: 'right up to 2003: 3,976, 33 a second at 120 s',
    check: (look) =>
      all(
        ['33/s', near(look('port-exhaustion', 'windows-2003').value, 3976 / 120, 0.05)],
        ['NT4 16.6/s', near(look('port-exhaustion', 'windows-nt4').value, 3976 / 240, 0.05)],
      ),
  },
  {
    row: 25,
    claim: 'a balancer with one address reaches 300 connections a second per server',
    verdict: 'right where the server refuses: 64,512 / 240 = 269',
    check: (look) => all(['269/s', near(look('load-balancer', 'rfc9293').value, 268.8)]),
  },
  {
    row: 26,
    claim: 'Windows 2003 did 600 behind such a balancer',
    verdict: 'right, it accepts the SYN in TIME-WAIT (RFC 1122 4.2.2.13)',
    check: (look) =>
      all(
        ['windows-2003', look('load-balancer', 'windows-2003').value! > 600],
        ['bsd', look('load-balancer', 'freebsd').value! > 600],
      ),
  },
  {
    row: 27,
    claim: '1,000 closings a second keep 240,000 records',
    verdict: 'right at 240 s; 60,000 on Linux',
    check: (look) =>
      all(
        ['240,000', near(look('steady-state', 'rfc9293').value, 240_000)],
        ['60,000', near(look('steady-state', 'linux').value, 60_000)],
      ),
  },
  {
    row: 33,
    claim: 'above tcp_max_tw_buckets sockets are closed',
    verdict: 'the new connection gets no TIME-WAIT, the old ones keep theirs',
    check: (look) => {
      const { kind, reason, note } = look('table-pressure', 'linux');
      return all([
        'the newest',
        kind === 'unprotected' && reason === 'tw-table-full' && note.includes('newest'),
      ]);
    },
  },
  {
    row: 34,
    claim: 'with tcp_tw_reuse=1 nothing is refused',
    verdict: 'half: with timestamps, after a second',
    check: (look) => all(['1,000/s', near(look('port-exhaustion', 'reuse').value, 1000)]),
  },
  {
    row: 36,
    claim: 'tcp_tw_reuse affects outgoing connections only',
    verdict: 'right; and a bound port reuses at once whatever it says',
    check: (look) => all(['at once', look('own-reuse', 'linux').reason === 'reopen-bound']),
  },
  {
    row: 38,
    claim: 'TCP itself discourages reusing TIME-WAIT',
    verdict: 'wrong: RFC 1122 permits it, with a way back',
    check: (look) => all(['back in TIME-WAIT', look('assassination-old-syn', 'rfc1122').kind === 'safe']),
  },
  {
    row: 40,
    claim: 'with tcp_tw_recycle clients behind one NAT are refused',
    verdict: 'right: the slower clock, silently',
    check: (look) =>
      all(
        ['recycle-host-stamp', look('nat-timestamps', 'linux-recycle').reason === 'recycle-host-stamp'],
        ['not on Linux today', look('nat-timestamps', 'linux').kind === 'safe'],
      ),
  },
  {
    row: 41,
    claim: 'only within one RTO',
    verdict: 'wrong: for 60 s',
    check: (look) => all(['a minute', look('nat-timestamps', 'linux-recycle').value! >= 60]),
  },
  {
    row: 42,
    claim: 'recycle on the backends is good advice',
    verdict: 'outdated: random offsets broke it even without NAT',
    check: (look) =>
      all(
        ['refused without a NAT', look('random-timestamps', 'linux-recycle').kind === 'refuses'],
        ['others do not care', look('random-timestamps', 'linux').kind === 'safe'],
      ),
  },
  {
    row: 43,
    claim: 'timestamps are what reuse and recycle rest on',
    verdict: 'right: PAWS',
    check: (look) =>
      all(
        ['paws', look('ghost-data-timestamps', 'linux').kind === 'safe'],
        ['no clock wrap confuses it', look('timestamp-wrap-49-days', 'linux').kind === 'safe'],
        ['nor a long idle time', look('idle-25-days', 'linux').kind === 'safe'],
      ),
  },
  {
    row: 47,
    claim: 'lower tcp_tw_timeout a little',
    verdict: 'right that it exists; below the life of a segment old data is accepted',
    check: (look) => {
      const at = (seconds: number): string =>
        look('ghost-data', 'alibaba', { 'net.ipv4.tcp_tw_timeout': seconds }).note;
      return all(
        ['60 s: from 90 s on', at(60).includes('after 90 s')],
        ['10 s: from 20 s on', at(10).includes('after 20 s')],
        ['3 s: from 5 s on', at(3).includes('after 5 s')],
        ['150 s: never', look('ghost-data', 'alibaba', { 'net.ipv4.tcp_tw_timeout': 150 }).kind === 'safe'],
      );
    },
  },
  {
    row: 51,
    claim: 'BSD-derived stacks accept a higher SYN in TIME-WAIT',
    verdict: 'right, and Linux, gVisor, VPP',
    check: (look) =>
      all(
        ...['freebsd', 'linux', 'gvisor', 'vpp'].map(
          (profile) => [profile, look('load-balancer', profile).value! > 600] as const,
        ),
      ),
  },
  {
    row: 52,
    claim: 'a lower SYN disappears without reply',
    verdict:
      "depends: silent on FreeBSD and gVisor for a minute; Linux' ACK draws the RST that clears the way, and a Linux client repeats its SYN at once",
    check: (look) =>
      all(
        [
          'freebsd',
          look('nat-isn', 'freebsd').value! >= 60 && look('nat-isn', 'freebsd').reason === 'tw-syn-low',
        ],
        ['gvisor', look('nat-isn', 'gvisor').value! >= 60],
        ['linux', look('nat-isn', 'linux').kind === 'safe'],
      ),
  },
  {
    row: 53,
    claim: 'NT4 is not like BSD',
    verdict: 'right: it takes the oldest record away above its limit',
    check: (look) => all(['evicted', look('table-pressure', 'windows-nt4').reason === 'tw-evicted']),
  },
  {
    row: 54,
    claim: 'sequence numbers only grow, so a fixed port always reconnects',
    verdict: 'per host; two hosts behind one NAT: about half are lower',
    check: (look) => {
      const late = Number(/(\d+) late/.exec(look('nat-isn', 'freebsd').note)?.[1]);
      return all(['about half', late >= 6 && late <= 14]);
    },
  },
  {
    row: 55,
    claim: 'accepting SYNs in TIME-WAIT has a security hole',
    verdict: 'right: an old SYN, or one SYN+FIN, ends it; RFC 1122 wants the way back',
    check: (look) =>
      all(
        ['SYN+FIN on Linux', look('assassination-syn-fin', 'linux').kind === 'killed'],
        ['an old SYN on FreeBSD', look('assassination-old-syn', 'freebsd').kind === 'killed'],
        ['the way back', look('assassination-old-syn', 'rfc1122').kind === 'safe'],
      ),
  },
  {
    row: 59,
    claim: 'SO_REUSEADDR rebinds a port in TIME-WAIT',
    verdict: 'on Linux if the old socket had it, too',
    check: (look) => all(['both had it', look('restart-server-reuseaddr', 'linux').kind === 'safe']),
  },
  {
    row: 60,
    claim: 'without it a restart waits for about 60 s',
    verdict: 'right',
    check: (look) => all(['60 s', near(look('restart-server', 'linux').value, 60)]),
  },
  {
    row: 62,
    claim: 'SO_LINGER 0 sends RST, loses data, leaves no TIME-WAIT',
    verdict: 'right',
    check: (look) => {
      const { kind, note } = look('linger-abort', 'linux');
      return all(['loses data', kind === 'loses'], ['ECONNRESET', note.includes('ECONNRESET')]);
    },
  },
  {
    row: 64,
    claim: 'aborting escapes TIME-WAIT and its protection',
    verdict: 'right',
    check: (look) => all(['no TIME-WAIT', look('linger-abort', 'linux').note.includes('no TIME-WAIT')]),
  },
];
