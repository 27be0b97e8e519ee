/** Columns of the policies named after an RFC. Sources stand in the policies. */
import type { Column } from './runner.js';

const rfc9293: Column = {
  policy: 'rfc9293',
  length: 240_000,
  iss: 'fresh',
  rows: {
    // RFC 5961 4.2: any SYN, any SEQ
    syn: { below: 'A', at: 'C', window: 'C', beyond: 'A' },
    'syn newer': 'seq',
    'syn equal': 'seq',
    // RFC 7323 5.3 R1
    'syn older': 'A',
    'syn stampless': 'seq',
    'syn ack': 'C',
    'syn unwanted': 'seq',
    rst: { at: 'X', window: 'C', outside: '-' },
    fin: 'A+',
    // New data and bare ACKs: the intent, not the letter, which acknowledges both
    data: { old: 'A', else: '-' },
    'data held': { old: 'A', else: '-' },
    'data stampless': '-',
    ack: { at: '-', keepalive: 'A', old: '-' },
    connect: 'EADDRNOTAVAIL',
    bind: { plain: 'EADDRINUSE', reuse: 'ok', 'both reuse': 'ok' },
  },
};

export const columns: readonly Column[] = [
  rfc9293,
  {
    ...rfc9293,
    variant: 'tcp_rfc1337=1',
    knobs: { 'net.ipv4.tcp_rfc1337': 1 },
    rows: { ...rfc9293.rows, rst: { at: '-', window: 'C', outside: '-' } },
  },
];
