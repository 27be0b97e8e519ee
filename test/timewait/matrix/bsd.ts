/** Columns of the BSD family. Sources stand in the policies. */
import type { Column } from './runner.js';

const bsd: Column = {
  policy: 'bsd',
  length: 60_000,
  iss: 'fresh',
  rows: {
    syn: { below: '-', at: '-', window: 'NEW', beyond: 'NEW' },
    // There is no PAWS in TIME-WAIT
    'syn newer': 'seq',
    'syn equal': 'seq',
    'syn older': 'seq',
    'syn stampless': 'seq',
    'syn ack': 'A',
    'syn unwanted': { below: '-', at: '-', else: 'RX' },
    rst: '-',
    fin: 'A+',
    data: 'A',
    'data held': 'A',
    'data stampless': '-',
    ack: { at: '-', keepalive: 'A', old: 'A' },
    connect: { bound: 'EADDRINUSE', 'bound ts': 'EADDRINUSE', else: 'EADDRNOTAVAIL' },
    bind: { plain: 'EADDRINUSE', reuse: 'ok', 'both reuse': 'ok', 'both reuseport': 'ok' },
  },
};

export const columns: readonly Column[] = [bsd];
