/** Columns of the Windows family: vendor articles, no host was run. Sources stand in the policies. */
import type { Cell, Code, Column, Rows } from './runner.js';

/** Nobody confirms this cell. */
const guess = (code: Code, deviation?: string): Cell & { readonly code: Code } => ({
  code,
  unverified: true,
  ...(deviation === undefined ? {} : { deviation }),
});

const calls: Pick<Rows, 'connect' | 'bind'> = {
  connect: { bound: 'EADDRINUSE', 'bound ts': 'EADDRINUSE', else: 'EADDRNOTAVAIL' },
  bind: { plain: 'ok', reuse: 'ok', 'both reuse': 'ok', 'both reuseport': 'ok', exclusive: 'EADDRINUSE' },
};

/** Windows 2000, KB261218, with a lower SYN dropped. */
const silent: Rows = {
  syn: {
    below: guess('-', 'KB261218 lets any SYN reopen; others report that a lower one vanishes'),
    at: guess('-', 'KB261218 lets any SYN reopen; others report that a lower one vanishes'),
    else: 'NEW',
  },
  'syn newer': 'seq',
  'syn equal': 'seq',
  'syn older': 'seq',
  'syn stampless': 'seq',
  'syn ack': guess('-', 'KB2551021: 2003 takes a SYN with ACK as a SYN, a listener here does not'),
  'syn unwanted': { below: guess('-'), at: guess('-'), else: guess('RX') },
  rst: { at: 'X', else: guess('X') },
  fin: 'A+',
  data: '-',
  'data held': '-',
  'data stampless': '-',
  ack: '-',
  ...calls,
};

const w2003: Column = { policy: 'windows-2003', length: 120_000, iss: 'fresh', rows: silent };
const windows: Column = {
  ...w2003,
  policy: 'windows',
  rows: {
    ...silent,
    syn: { below: guess('-'), at: guess('-'), else: guess('NEW') },
    'syn ack': '-',
    rst: guess('X'),
    data: guess('-'),
    'data held': guess('-'),
    'data stampless': guess('-'),
    ack: guess('-'),
  },
};
const any: Rows['syn'] = 'NEW';

export const columns: readonly Column[] = [
  {
    policy: 'windows-nt4',
    length: 240_000,
    iss: 'fresh',
    rows: {
      ...silent,
      syn: {
        below: { ...guess('A'), limited: false },
        at: { ...guess('A'), limited: false },
        else: guess('NEW'),
      },
      'syn ack': guess('-'),
      'syn unwanted': { below: guess('A'), at: guess('A'), else: guess('RX') },
      rst: guess('X'),
      // KB271708
      data: { old: 'A', else: guess('A') },
      'data held': { old: 'A', else: guess('A') },
      'data stampless': { old: 'A', else: guess('A') },
      ack: guess('-'),
    },
  },
  w2003,
  {
    ...w2003,
    variant: 'StrictTimeWaitSeqCheck=0',
    knobs: { StrictTimeWaitSeqCheck: 0 },
    rows: {
      ...silent,
      syn: any,
      'syn newer': any,
      'syn equal': any,
      'syn older': any,
      'syn stampless': any,
      'syn unwanted': guess('RX'),
    },
  },
  {
    ...w2003,
    variant: 'TcpTimedWaitDelay=30',
    knobs: { TcpTimedWaitDelay: 30 },
    length: 30_000,
  },
  windows,
  {
    ...windows,
    variant: 'timestamps',
    knobs: { 'net.ipv4.tcp_timestamps': 1 },
    rows: { ...windows.rows, 'syn newer': guess('NEW') },
  },
];
