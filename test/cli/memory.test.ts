/** What a served stack remembers for `explain`: nothing before it is asked, then a bounded number of decisions. */
import { EventEmitter } from 'node:events';
import t from 'tap';
import { DecisionMemory } from '../../src/cli/memory.js';
import { parseEnd, parseTuple, isTuple } from '../../src/cli/tuple.js';
import type { Network } from '../../src/net/network.js';
import type { Decision } from '../../src/stack/api.js';
import { ManualClock } from '../../src/time/clock.js';

function decision(time: number, port: number): Decision {
  return {
    time,
    local: { address: '10.0.0.2', port: 80, family: 4 },
    remote: { address: '10.0.0.1', port, family: 4 },
    reason: 'tw-syn-low',
    state: 'TIME-WAIT',
    segment: '',
  };
}

t.test('the last 16,384 decisions, in order, with the time of day', async (t) => {
  const clock = new ManualClock(5000, 1_700_000_000);
  const network = Object.assign(new EventEmitter(), { driver: { clock } });
  const memory = new DecisionMemory(network as unknown as Network);
  t.equal(network.listenerCount('decision'), 0, 'nobody asked: the engine writes nothing down');
  network.emit('decision', decision(1, 1));
  memory.start();
  memory.start();
  t.equal(network.listenerCount('decision'), 1);
  network.emit('decision', decision(4000, 1));
  t.match(memory.list(null), [
    { at: 1_699_999_999_000, comment: /^tw-syn-low: dropped silently: .*\[FreeBSD tcp_twcheck\]$/ },
  ]);
  for (let i = 2; i <= 16_384; i++) network.emit('decision', decision(5000, i));
  t.equal(memory.forgotten, 0);
  for (let i = 0; i < 3; i++) network.emit('decision', decision(5000, 20_000 + i));
  t.equal(memory.forgotten, 3);
  const ports = memory.list(null).map(({ remote }) => remote.port);
  t.equal(ports.length, 16_384);
  t.same(ports.slice(0, 2), [4, 5]);
  t.same(ports.slice(-4), [16_384, 20_000, 20_001, 20_002]);
  t.equal(memory.list(parseTuple('20001')).length, 1);
  t.equal(memory.tuples().length, 16_384);
});

t.test('ends and tuples as they are written', async (t) => {
  const cases: [text: string, address: string | null, port: number | null][] = [
    ['80', null, 80],
    [':80', null, 80],
    ['*:80', null, 80],
    ['10.0.0.1', '10.0.0.1', null],
    ['10.0.0.1:80', '10.0.0.1', 80],
    ['[fd00:0::1]', 'fd00::1', null],
    ['[fd00::1]:80', 'fd00::1', 80],
    ['fd00::1', 'fd00::1', null],
    ['::ffff:10.0.0.1', '10.0.0.1', null],
  ];
  for (const [text, address, port] of cases) t.same(parseEnd(text), { address, port }, text);
  for (const text of [
    '',
    ':',
    '10.0.0',
    '10.0.0.1:',
    '10.0.0.1:65536',
    '000080',
    '[10',
    '[fd00::1]80',
    'x:1',
  ])
    t.equal(parseEnd(text), null, text);
  const a = { address: '10.0.0.1', port: 4000 };
  const b = { address: 'fd00::2', port: 80 };
  for (const text of ['4000', '4000-80', '80-4000', '[fd00::2]:80-10.0.0.1', ' 10.0.0.1 - fd00::2 '])
    t.ok(isTuple(parseTuple(text)!, a, b), text);
  for (const text of ['4001', '4000-4000', '80-80', '10.0.0.1:80', '10.0.0.1-10.0.0.1'])
    t.notOk(isTuple(parseTuple(text)!, a, b), text);
  for (const text of ['', '1-2-3', 'x-80']) t.equal(parseTuple(text), null, text);
});
