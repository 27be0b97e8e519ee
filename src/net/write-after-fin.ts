import { Duplex } from 'node:stream';
import { codedError } from './errors.js';

/** Takes the place of `write` after the peer's FIN has ended our side too: EPIPE instead of "write after end". */
export function writeAfterFin(this: Duplex, chunk: unknown, encoding?: unknown, callback?: unknown): boolean {
  if (!this.writableEnded)
    return Duplex.prototype.write.call(this, chunk, encoding as BufferEncoding, callback as () => void);
  const error = codedError('EPIPE', 'This socket has been ended by the other party');
  const done = typeof encoding === 'function' ? encoding : callback;
  if (typeof done === 'function') process.nextTick(done as (error: Error) => void, error);
  this.destroy(error);
  return false;
}
