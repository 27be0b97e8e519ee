/** Columns of the BSD family. Sources stand in the policies. */
import type { Column, Rows } from './runner.js';

const connect = { bound: 'EADDRINUSE', 'bound ts': 'EADDRINUSE', else: 'EADDRNOTAVAIL' } as const;
const bind = { plain: 'EADDRINUSE', reuse: 'ok', 'both reuse': 'ok', 'both reuseport': 'ok' } as const;

/** FreeBSD has no PAWS in TIME-WAIT. */
const freebsd: Column = {
  policy: 'freebsd',
  length: 60_000,
  iss: 'fresh',
  rows: {
    syn: { below: '-', at: '-', window: 'NEW', beyond: 'NEW' },
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
    connect,
    bind,
  },
};

/**
 * Tables of TIME-WAIT say A+ for the peer's FIN and for a bare ACK. In tcp_input the timer starts again only
 * past the test SEG.ACK <= SND.UNA, which ends the step; in TIME-WAIT no acceptable ACK lies above SND.UNA.
 */
const WHY = 'tables say A+; in the source the restart stands behind a test that no ACK of SND.NXT passes';
const finAgain = { code: 'A', deviation: WHY } as const;
const bareAck = { code: '-', deviation: WHY } as const;

const bsd44: Rows = {
  syn: { below: 'A', at: 'RX', window: 'RX', beyond: 'NEW' },
  'syn newer': 'seq',
  'syn equal': 'seq',
  // tcp_dooptions has overwritten TS.Recent before PAWS looks at it
  'syn older': 'seq',
  'syn stampless': 'seq',
  'syn ack': { below: 'A', at: 'RX', window: 'RX', beyond: 'RX' },
  'syn unwanted': { below: 'A', at: 'RX', window: 'RX', beyond: 'RX' },
  rst: { outside: '-', else: 'X' },
  fin: finAgain,
  data: { old: 'A', else: 'RX' },
  'data held': { old: 'A', else: { code: '-', deviation: WHY } },
  'data stampless': { old: 'A', else: 'RX' },
  ack: { at: bareAck, keepalive: 'A', old: '-' },
  connect: {
    bound: 'EADDRINUSE',
    'bound ts': 'EADDRINUSE',
    else: { code: 'EADDRNOTAVAIL', deviation: 'in_pcbbind of 4.4BSD would search for ever' },
  },
  bind,
};

const netbsd: Column = {
  policy: 'netbsd',
  // The peer of the matrix is in our subnet
  length: 10_000,
  lengthFar: 60_000,
  iss: 'fresh',
  rows: {
    ...bsd44,
    syn: {
      below: 'A',
      at: { code: 'A', limited: false, deviation: "NetBSD's ACK carries SEG.ACK - 1 and 0" },
      window: 'C',
      beyond: 'NEW',
    },
    'syn older': 'A',
    'syn ack': { below: 'A', at: 'A', window: 'C', beyond: 'RX' },
    'syn unwanted': { below: 'A', at: 'A', window: 'C', beyond: 'RX' },
    rst: { at: 'X', window: 'C', outside: '-' },
    connect,
  },
};

/** Its counter of sequence numbers cannot be predicted from outside: a connection adds to it. */
const counter = [0, 0xffffffff] as const;

export const columns: readonly Column[] = [
  freebsd,
  {
    ...freebsd,
    variant: 'tolerate_missing_ts=1',
    knobs: { 'net.inet.tcp.tolerate_missing_ts': 1 },
    rows: { ...freebsd.rows, 'data stampless': 'A' },
  },
  {
    ...freebsd,
    policy: 'freebsd-13',
    rows: { ...freebsd.rows, 'syn ack': { below: 'A', at: 'A', else: 'RX' } },
  },
  // TCP_ISSINCR: 122K and 18 random bits
  { policy: 'bsd-4.4', length: 60_000, iss: [122 * 1024, 122 * 1024 + 2 ** 18 - 1], rows: bsd44 },
  { ...netbsd, iss: counter },
  {
    ...netbsd,
    variant: 'mslt.enable=0',
    knobs: { 'net.inet.tcp.mslt.enable': 0 },
    iss: counter,
    length: 60_000,
  },
  {
    ...netbsd,
    variant: 'vtw.enable=1',
    knobs: { 'net.inet.tcp.vtw.enable': 1 },
    iss: counter,
    rows: {
      ...netbsd.rows,
      // Nothing reopens a vestigial record, whoever listens; timestamps are forgotten
      syn: { below: 'A', at: '-', window: '-', beyond: 'R' },
      'syn older': 'seq',
      'syn ack': { beyond: 'R', else: 'A+' },
      'syn unwanted': 'seq',
      fin: 'A+',
      data: { old: 'A+', else: 'R' },
      'data stampless': { old: 'A+', else: 'R' },
      ack: 'A+',
    },
  },
  {
    policy: 'openbsd',
    length: 60_000,
    iss: [0x8000, 0x7fffffff],
    rows: {
      ...bsd44,
      syn: { below: 'A', at: 'C', window: 'NEW', beyond: 'NEW' },
      'syn newer': 'NEW',
      // A higher sequence number is enough; otherwise PAWS, silent for an empty segment
      'syn older': { below: '-', at: '-', else: 'NEW' },
      'syn ack': { below: 'A', at: 'C', window: 'C', beyond: 'A' },
      'syn unwanted': { below: 'A', at: 'C', else: 'RX' },
      rst: { at: 'X', next: 'X', else: '-' },
      connect,
    },
  },
  {
    policy: 'macos',
    length: 30_000,
    iss: 'fresh',
    rows: {
      ...bsd44,
      syn: { below: 'C', at: 'C', window: 'C', beyond: 'NEW' },
      'syn older': '-',
      'syn ack': { beyond: 'RX', else: 'C' },
      'syn unwanted': { beyond: 'RX', else: 'C' },
      rst: { window: 'C', else: '-' },
      fin: { ...finAgain, unverified: true },
      'data held': { old: 'A', else: 'RX' },
      ack: { at: { ...bareAck, unverified: true }, keepalive: 'A', old: '-' },
      connect,
    },
  },
];
