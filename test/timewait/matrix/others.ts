/** Columns of all other systems. Sources stand in the policies. */
import type { Cell, Column, Rows } from './runner.js';

/** Refused: a port named is in use, a port to be chosen is passed over. */
const refused: Rows['connect'] = { bound: 'EADDRINUSE', 'bound ts': 'EADDRINUSE', else: 'EADDRNOTAVAIL' };
/** SO_REUSEADDR on the new socket is enough. */
const optionOfTheNew: Rows['bind'] = { plain: 'EADDRINUSE', reuse: 'ok', 'both reuse': 'ok' };
const unverified = true;
const ANY = [0, 2 ** 32 - 1] as const;

/** tcp_time_wait_processing. */
const solaris: Rows = {
  syn: { below: { code: 'A', limited: false }, at: 'R', window: 'R', beyond: 'NEW' },
  'syn newer': 'seq',
  'syn equal': 'seq',
  'syn older': 'A',
  // One below RCV.NXT it passes for a keep-alive probe: test/timewait/illumos.test.ts
  'syn stampless': { at: '-', window: '-', beyond: '-' },
  'syn ack': { below: 'A', at: 'R', window: 'R', beyond: 'RX' },
  'syn unwanted': { below: 'A', at: 'R', window: 'R', beyond: 'X' },
  rst: { at: 'X', window: 'X', outside: '-' },
  fin: 'A+',
  data: { old: 'A', at: '-', ahead: 'A' },
  'data held': { old: 'A', at: '-', ahead: 'A' },
  'data stampless': '-',
  ack: { at: '-', keepalive: 'A', old: '-' },
  connect: {
    bound: { code: 'EADDRINUSE', unverified },
    'bound ts': { code: 'EADDRINUSE', unverified },
    else: 'EADDRNOTAVAIL',
  },
  bind: optionOfTheNew,
};

/** tcp_timewait_input. */
const lwip: Rows = {
  syn: { below: { code: 'A', limited: false }, at: 'R', window: 'R', beyond: 'A' },
  'syn newer': 'seq',
  'syn equal': 'seq',
  'syn older': 'seq',
  'syn stampless': 'seq',
  'syn ack': { below: 'A', at: 'R', window: 'R', beyond: 'A' },
  'syn unwanted': { below: 'A', at: 'R', window: 'R', beyond: 'A' },
  rst: '-',
  fin: 'A+',
  data: 'A',
  'data held': 'A',
  'data stampless': 'A',
  ack: '-',
  connect: refused,
  bind: optionOfTheNew,
};

/** handleTimeWaitSegment. */
const gvisor: Rows = {
  syn: { below: '-', at: '-', window: 'NEW', beyond: 'NEW' },
  'syn newer': 'seq',
  'syn equal': 'seq',
  'syn older': 'seq',
  'syn stampless': 'seq',
  'syn ack': { below: 'A', at: '-', window: 'RX', beyond: 'RX' },
  'syn unwanted': '-',
  rst: '-',
  fin: { alone: 'A+', data: 'A' },
  data: { else: { code: 'A', limited: false } },
  'data held': 'A',
  'data stampless': 'A',
  ack: { at: '-', keepalive: 'A', old: '-' },
  connect: refused,
  bind: {
    plain: 'EADDRINUSE',
    reuse: { code: 'EADDRINUSE', unverified },
    'both reuse': { code: 'ok', unverified },
    'both reuseport': { code: 'ok', unverified },
  },
};
const reopened: Cell & { readonly code: 'ok' } = { code: 'ok', iss: ANY };

/** Socket::process; what is outside the window restarts the timer. */
const smoltcp: Rows = {
  syn: '-',
  'syn newer': '-',
  'syn equal': '-',
  'syn older': '-',
  'syn stampless': '-',
  'syn ack': { below: 'A+', at: '-', window: '-', beyond: 'A+' },
  'syn unwanted': '-',
  rst: { at: 'X', window: 'X', outside: '-' },
  fin: 'A+',
  data: { old: 'A+', at: '-', ahead: '-' },
  'data held': { old: 'A+', at: '-', ahead: '-' },
  'data stampless': { old: 'A+', at: '-' },
  ack: { at: '-', keepalive: 'A+', old: '-' },
  connect: { bound: reopened, 'bound ts': reopened, else: 'EADDRNOTAVAIL' },
  bind: 'ok',
};

/** syn_during_timewait, tcp_segment_validate, tcp46_rcv_process_inline. */
const vpp: Rows = {
  syn: { below: '-', else: 'NEW' },
  'syn newer': 'seq',
  'syn equal': 'seq',
  'syn older': 'seq',
  'syn stampless': 'seq',
  'syn ack': '-',
  'syn unwanted': { below: '-', else: 'X' },
  rst: '-',
  fin: 'A+',
  data: { old: { code: 'A', limited: false }, else: '-' },
  'data held': { old: 'A', else: '-' },
  'data stampless': { old: 'A', at: '-' },
  ack: { at: '-', keepalive: 'A', old: '-' },
  connect: refused,
  bind: {
    plain: { code: 'EADDRINUSE', unverified },
    reuse: { code: 'ok', unverified },
    'both reuse': { code: 'ok', unverified },
  },
};

export const columns: readonly Column[] = [
  // ISS: the global counter, ISS_INCR/2 above the old SND.NXT at least
  { policy: 'illumos', length: [60_000, 64_999], iss: [125_000, 2_000_000], rows: solaris },
  { policy: 'solaris-7', length: [240_000, 244_999], iss: [125_000, 2_000_000], rows: solaris },
  {
    policy: 'illumos',
    variant: 'tcp_time_wait_interval=10000',
    knobs: { tcp_time_wait_interval: 10_000 },
    length: [10_000, 14_999],
    iss: [125_000, 2_000_000],
    rows: solaris,
  },
  // To the next tick of 500 ms
  { policy: 'lwip', length: [120_001, 120_500], iss: 'fresh', rows: lwip },
  { policy: 'gvisor', length: 60_000, iss: 'fresh', rows: gvisor },
  {
    policy: 'gvisor',
    variant: 'tcp_tw_reuse=1',
    knobs: { 'net.ipv4.tcp_tw_reuse': 1 },
    length: 60_000,
    iss: 'fresh',
    rows: {
      ...gvisor,
      connect: {
        bound: 'EADDRINUSE',
        'bound ts': 'EADDRINUSE',
        // It asks for a second since the last timestamp: there was none
        chosen: reopened,
        'chosen ts': reopened,
        'chosen ts early': 'EADDRNOTAVAIL',
      },
    },
  },
  { policy: 'smoltcp', length: 10_000, iss: ANY, rows: smoltcp },
  { policy: 'vpp', length: 10_000, iss: [65_535, 131_069], rows: vpp },
];
