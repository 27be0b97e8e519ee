import t from 'tap';
import { MOST, Pace } from '../../src/net/pace.js';

/** A pace by a clock that batches move. */
function paced(): { pace: Pace; turn(msEach: number, packets?: number): number } {
  let now = 0;
  const pace = new Pace(() => now);
  return {
    pace,
    // Batches of one turn
    turn(msEach, packets) {
      pace.begin();
      for (let batches = 1; ; batches++) {
        now += msEach;
        if (!pace.more(packets ?? pace.batch)) return batches;
      }
    },
  };
}

t.test('under a clock that stands still a turn is eight batches of all slots', async (t) => {
  const { pace, turn } = paced();
  t.equal(turn(0), 8);
  t.equal(pace.batch, MOST);
});

t.test('batches that take long become smaller, and the turn is over after two milliseconds', async (t) => {
  const { pace, turn } = paced();
  t.equal(turn(1.5), 2);
  t.equal(pace.batch, MOST / 4);
  t.equal(turn(9), 1, 'one is always taken');
  t.equal(turn(9), 1);
  t.equal(pace.batch, 16, 'not fewer than that');
});

t.test('full batches that are quickly done become larger again, others stay', async (t) => {
  const { pace, turn } = paced();
  for (let i = 0; i < 3; i++) turn(9);
  turn(0.1, 3);
  t.equal(pace.batch, 16, 'nothing more waited');
  turn(0.3);
  t.equal(pace.batch, 16, 'neither quick nor long');
  turn(0.1);
  t.equal(pace.batch, MOST);
});
