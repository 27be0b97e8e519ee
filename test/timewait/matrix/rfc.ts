/** Columns of the policies named after an RFC, and of the remedies that only move TIME-WAIT. */
import type { Column, Rows } from './runner.js';

const rows: Rows = {
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
  data: {
    old: 'A',
    else: { code: '-', deviation: 'the letter acknowledges it, and two ends in TIME-WAIT would never stop' },
  },
  'data held': { old: 'A', else: '-' },
  'data stampless': '-',
  ack: {
    at: { code: '-', deviation: 'the letter acknowledges it, and two ends in TIME-WAIT would never stop' },
    keepalive: 'A',
    old: '-',
  },
  connect: 'EADDRNOTAVAIL',
  bind: { plain: 'EADDRINUSE', reuse: 'ok', 'both reuse': 'ok' },
};

const rfc9293: Column = { policy: 'rfc9293', length: 240_000, iss: 'fresh', rows };
const F1 = { variant: 'tcp_rfc1337=1', knobs: { 'net.ipv4.tcp_rfc1337': 1 } };
const f1 = (of: Rows): Rows => ({ ...of, rst: { at: '-', window: 'C', outside: '-' } });

const rfc1122: Column = {
  ...rfc9293,
  policy: 'rfc1122',
  rows: {
    ...rows,
    syn: { below: 'A', at: 'C', window: 'NEW', beyond: 'NEW' },
    'syn unwanted': { below: 'A', at: 'C', window: 'C', beyond: 'A' },
  },
};

const rfc6191: Column = {
  ...rfc9293,
  policy: 'rfc6191',
  rows: {
    ...rows,
    syn: { below: '-', else: 'NEW' },
    'syn newer': 'NEW',
    'syn equal': 'seq',
    'syn older': '-',
    'syn unwanted': { below: 'A', at: 'C', window: 'C', beyond: 'A' },
  },
};

export const columns: readonly Column[] = [
  rfc9293,
  { ...rfc9293, ...F1, rows: f1(rows) },
  {
    ...rfc9293,
    variant: 'net.ipv4.tcp_msl=1000',
    knobs: { 'net.ipv4.tcp_msl': 1000 },
    length: 2000,
    wait: 500,
  },
  rfc1122,
  { ...rfc1122, ...F1, rows: f1(rfc1122.rows) },
  { ...rfc9293, policy: 'rfc1337', rows: { ...rows, rst: '-' } },
  rfc6191,
  { ...rfc6191, ...F1, rows: f1(rfc6191.rows) },
  {
    ...rfc6191,
    // Then a SYN's timestamp is none
    variant: 'tcp_timestamps=0',
    knobs: { 'net.ipv4.tcp_timestamps': 0 },
    rows: { ...rfc6191.rows, 'syn newer': 'seq', 'syn older': 'seq', 'data stampless': {} },
  },
  { ...rfc9293, policy: 'faber-client' },
  { ...rfc9293, policy: 'faber-negotiate' },
  {
    // What arrives meets the listener, or nobody
    policy: 'none',
    length: 0,
    iss: 'fresh',
    rows: {
      syn: 'NEW',
      'syn newer': 'NEW',
      'syn equal': 'NEW',
      'syn older': 'NEW',
      'syn stampless': 'NEW',
      'syn ack': 'R',
      'syn unwanted': 'R',
      rst: '-',
      fin: 'R',
      data: 'R',
      'data held': 'R',
      'data stampless': 'R',
      ack: 'R',
      connect: 'ok',
      bind: 'ok',
    },
  },
];
