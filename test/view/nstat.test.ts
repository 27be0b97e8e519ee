/** The nstat view against what iproute2's own nstat printed. */
import t from 'tap';
import { formatCounters, selectCounters } from '../../src/view/nstat.js';

const counters = {
  IpInReceives: 19,
  IpInHdrErrors: 0,
  TcpActiveOpens: 6,
  TcpExtTW: 3,
  TcpExtTWRecycled: 0,
  TcpExtTWKilled: 0,
  TcpExtTCPTimeouts: 12_345_678_901,
};

const names = (patterns: string[], zero = false): string[] =>
  Object.keys(selectCounters(counters, { patterns, zero }));

t.test('layout of nstat 6.1.0', async (t) => {
  t.equal(
    formatCounters({ IpInReceives: 19, TcpExtTW: 3, TcpExtTCPTimeouts: 12_345_678_901 }),
    `#kernel
IpInReceives                    19                 0.0
TcpExtTW                        3                  0.0
TcpExtTCPTimeouts               12345678901        0.0`,
  );
  t.equal(formatCounters({}), '#kernel');
});

t.test('zeros only with -z, with a pattern as without', async (t) => {
  t.same(names([]), ['IpInReceives', 'TcpActiveOpens', 'TcpExtTW', 'TcpExtTCPTimeouts']);
  t.same(names([], true), Object.keys(counters));
  t.same(names(['TcpExtTW*']), ['TcpExtTW']);
  t.same(names(['TcpExtTW*', 'TcpExtTCPTimeouts'], true), [
    'TcpExtTW',
    'TcpExtTWRecycled',
    'TcpExtTWKilled',
    'TcpExtTCPTimeouts',
  ]);
});

t.test("the shell's patterns, in any case, of the whole name", async (t) => {
  t.same(names(['tcpexttw*'], true), ['TcpExtTW', 'TcpExtTWRecycled', 'TcpExtTWKilled']);
  t.same(names(['TcpExtT?']), ['TcpExtTW']);
  t.same(names(['TcpExtTW[K-R]*'], true), ['TcpExtTWRecycled', 'TcpExtTWKilled']);
  t.same(names(['TcpExtTW[!R]*'], true), ['TcpExtTWKilled']);
  t.same(names(['TcpExt'], true), [], 'not a part of it');
  t.same(names(['nosuch'], true), []);
});

t.test('signs that mean something elsewhere mean themselves', async (t) => {
  for (const pattern of [
    '.*',
    'Tcp+',
    '(TcpExtTW)',
    'TcpExtTW|x',
    '^TcpExtTW$',
    '[',
    '[]',
    '[z-a]',
    '\\',
    '{2}',
  ]) {
    t.same(names([pattern], true), [], pattern);
  }
});
