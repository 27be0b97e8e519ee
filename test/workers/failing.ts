/** A worker's program for tests, which fails as it is told to. */
import { createNetwork } from '../../src/index.js';
import type { Seat, WorkerProgram } from '../../src/workers/seat.js';

/** `start`: at once, in the second worker. `nothing`: it returns no network. */
export type Way = 'start' | 'nothing' | 'never';

export default function fails({ index, link, clock, stack }: Seat, data: unknown): WorkerProgram | undefined {
  const way = data as Way;
  if (way === 'nothing') return undefined;
  if (way === 'start' && index === 1)
    throw Object.assign(new TypeError('not today'), { code: 'ERR_TODAY', details: ['nor tomorrow'] });
  const network = createNetwork({ link, clock, stack: { addresses: ['10.79.0.2/24'], ...stack } });
  return {
    network,
    answer(question) {
      switch (question) {
        case 'throw':
          throw new RangeError('no such thing');
        case 'function':
          return () => undefined;
        case 'never':
          return new Promise(() => undefined);
        case 'exit':
          // Of the thread.
          if (index === 1) process.exit(7);
          return undefined;
        case 'later':
          if (index === 1)
            setTimeout(() => {
              throw new Error('out of the blue');
            });
          return undefined;
        default:
          return index;
      }
    },
  };
}
