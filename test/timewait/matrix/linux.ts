/** Columns of the Linux family. Sources stand in the policies. */
import type { Column, Rows } from './runner.js';

const rows: Rows = {
  syn: {
    below: { code: 'A', limited: true },
    at: { code: 'A', limited: true },
    window: 'NEW',
    beyond: 'NEW',
  },
  'syn newer': 'NEW',
  'syn equal': 'seq',
  'syn older': 'A+',
  'syn stampless': 'seq',
  'syn ack': 'A+',
  'syn unwanted': 'A',
  rst: { at: 'X', else: '-' },
  fin: 'A+',
  data: 'A+',
  'data held': 'A+',
  'data stampless': 'A+',
  ack: { at: '-+', keepalive: 'A+', old: '-+' },
  connect: {
    bound: 'EADDRNOTAVAIL',
    'bound ts': 'ok',
    chosen: 'EADDRNOTAVAIL',
    'chosen ts': 'ok',
    'chosen ts early': 'EADDRNOTAVAIL',
  },
  bind: {
    plain: 'EADDRINUSE',
    reuse: 'EADDRINUSE',
    'both reuse': 'ok',
    'both reuseport': 'ok',
  },
};

const reuse: Column = { policy: 'reuse', length: 60_000, iss: 65_537, rows };

export const columns: readonly Column[] = [
  reuse,
  {
    ...reuse,
    variant: 'tcp_rfc1337=1',
    knobs: { 'net.ipv4.tcp_rfc1337': 1 },
    rows: { ...rows, rst: '-' },
  },
  {
    policy: 'recycle',
    // 3.5*RTO at the smallest RTO, 200 ms, and then only with timestamps
    length: 60_000,
    iss: 65_537,
    wait: 300,
    rows: {
      ...rows,
      connect: {
        ...(rows.connect as object),
        'chosen ts': 'EADDRNOTAVAIL',
        'chosen ts early': 'EADDRNOTAVAIL',
      },
    },
  },
];
