/** Columns of the Linux family. Sources stand in the policies. */
import type { Call, Column, Rows } from './runner.js';

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

const chosen = (early: Call, late: Call): Rows['connect'] => ({
  bound: 'EADDRNOTAVAIL',
  'bound ts': 'ok',
  chosen: 'EADDRNOTAVAIL',
  'chosen ts': late,
  'chosen ts early': early,
});
const never = chosen('EADDRNOTAVAIL', 'EADDRNOTAVAIL');

const linux: Column = { policy: 'linux', length: 60_000, iss: 65_537, rows: { ...rows, connect: never } };
const reuse: Column = { ...linux, policy: 'reuse', rows };
const recycle: Column = {
  ...linux,
  policy: 'linux-recycle',
  // 3.5*RTO at the smallest RTO, 200 ms, and then only with timestamps
  wait: 300,
};
/** RST at RCV.NXT is the only row that tcp_rfc1337 changes. */
const rfc1337 = (column: Column, rst: Rows['rst'] = '-'): Column => ({
  ...column,
  variant: 'tcp_rfc1337=1',
  knobs: { 'net.ipv4.tcp_rfc1337': 1 },
  rows: { ...column.rows, rst },
});

export const columns: readonly Column[] = [
  linux,
  rfc1337(linux),
  { ...linux, variant: 'tcp_tw_reuse=0', knobs: { 'net.ipv4.tcp_tw_reuse': 0 } },
  {
    ...linux,
    variant: 'tcp_tw_reuse=1, no delay',
    knobs: { 'net.ipv4.tcp_tw_reuse': 1, 'net.ipv4.tcp_tw_reuse_delay': 0 },
    rows: { ...rows, connect: chosen('ok', 'ok') },
  },
  reuse,
  rfc1337(reuse),
  recycle,
  // Before the fix of 2018 the ignored RST restarted the timer
  rfc1337(recycle, { at: '-+', else: '-' }),
  { ...linux, policy: 'alibaba' },
  {
    ...linux,
    policy: 'alibaba',
    variant: 'tcp_tw_timeout=5',
    knobs: { 'net.ipv4.tcp_tw_timeout': 5 },
    length: 5000,
  },
];
