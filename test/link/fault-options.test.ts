import t from 'tap';
import { faultKeys, noFaults, parseFaults } from '../../src/link/fault-options.js';

t.test('a full specification', async (t) => {
  t.same(parseFaults('loss=2%,reorder=1%,dup=0.5%,corrupt=0.1%,delay=10ms,jitter=2ms,seed=7'), {
    ...noFaults,
    loss: 0.02,
    reorder: 0.01,
    duplicate: 0.005,
    corrupt: 0.001,
    delay: 10,
    jitter: 2,
    seed: 7,
  });
  t.same(parseFaults('loss=0.25, delay=2s ,direction=in,limit=9,reorder-delay=30'), {
    ...noFaults,
    loss: 0.25,
    delay: 2000,
    direction: 'in',
    limit: 9,
    reorderDelay: 30,
  });
  t.same(parseFaults('loss=100%'), { ...noFaults, loss: 1 });
});

const bad: [spec: string, error: string][] = [
  ['los=2%', `faults: unknown key 'los'; allowed: ${faultKeys.join(', ')}`],
  ['', `faults: KEY=VALUE,...; keys are ${faultKeys.join(', ')}`],
  ['loss=2%,', `faults: KEY=VALUE,...; keys are ${faultKeys.join(', ')}`],
  ['loss=101%', "faults: loss must be 0%..100% or 0..1, got '101%'"],
  ['loss=1.5', "faults: loss must be 0%..100% or 0..1, got '1.5'"],
  ['dup=-1%', "faults: dup must be 0%..100% or 0..1, got '-1%'"],
  ['loss', "faults: loss must be 0%..100% or 0..1, got ''"],
  ['corrupt=NaN', "faults: corrupt must be 0%..100% or 0..1, got 'NaN'"],
  ['delay=10m', "faults: delay must be 0ms..3600s, got '10m'"],
  ['delay=3601s', "faults: delay must be 0ms..3600s, got '3601s'"],
  ['jitter=1.5ms', "faults: jitter must be 0ms..3600s, got '1.5ms'"],
  ['seed=x', "faults: seed must be 0..4294967295, got 'x'"],
  ['seed=4294967296', "faults: seed must be 0..4294967295, got '4294967296'"],
  ['limit=0', "faults: limit must be 1..65536, got '0'"],
  ['direction=up', "faults: direction must be in, out, both, got 'up'"],
  ['loss=1%,loss=2%', 'faults: loss is given twice'],
];
for (const [spec, error] of bad) {
  t.test(`'${spec}' gets one clear line`, async (t) => {
    t.same(parseFaults(spec), { error });
    t.notMatch(error, '\n');
  });
}
