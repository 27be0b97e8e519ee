/**
 * One end of a byte stream between threads, over a MessagePort: each direction ends by itself, and a writer
 * waits until the other end has taken what it wrote. An end that goes before both directions have ended
 * closes the port, and the other end closes with it.
 */
import { Duplex } from 'node:stream';
import type { MessagePort } from 'node:worker_threads';

type Message = { readonly bytes: Uint8Array } | 'taken' | 'end';

export class PortStream extends Duplex {
  /** Of the chunk that the other end has not taken yet. */
  private written: (() => void) | null = null;
  /** The reader has room again: the other end may write. */
  private owed = false;
  /** The other end has ended its direction. */
  private ended = false;

  constructor(private readonly port: MessagePort) {
    super({ allowHalfOpen: true });
    port.on('message', (message: Message) => this.arrives(message));
    port.on('close', () => {
      // After a good end in both directions, what has come may still wait for its reader.
      if (!this.ended || !this.writableFinished) this.destroy();
    });
  }

  private arrives(message: Message): void {
    if (message === 'taken') {
      const written = this.written;
      this.written = null;
      written?.();
    } else if (message === 'end') {
      this.ended = true;
      this.push(null);
    } else if (this.push(message.bytes)) this.port.postMessage('taken');
    else this.owed = true;
  }

  override _read(): void {
    if (!this.owed) return;
    this.owed = false;
    this.port.postMessage('taken');
  }

  override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
    this.written = done;
    this.port.postMessage({ bytes: chunk } satisfies Message);
  }

  override _final(done: () => void): void {
    this.port.postMessage('end');
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.port.close();
    done(error);
  }
}
