/** One worker: a queue of the device, the steering before it, and the program with its engine. Started by workers.ts. */
import { parentPort, workerData, type MessagePort } from 'node:worker_threads';
import { TunLink } from '../link/tun.js';
import { Network } from '../net/network.js';
import { RealClock } from '../net/real-clock.js';
import { counterNames } from '../mib.js';
import { Exchange } from './exchange.js';
import { steeringProgram } from './program.js';
import type {
  Call,
  Failure,
  HandedOver,
  Opened,
  Reply,
  Seat,
  ThreadData,
  WorkerMain,
  WorkerProgram,
} from './seat.js';
import { SteeredLink, type Feed } from './steered-link.js';
import { Steering } from './steering.js';

class Thread {
  private readonly steering: Steering;
  private readonly exchange: Exchange;
  private link: SteeredLink | null = null;
  private program: WorkerProgram | null = null;

  constructor(
    private readonly given: ThreadData,
    private readonly toMain: MessagePort,
  ) {
    const { seat, steering, lanes, ports } = given;
    this.steering = new Steering(steering.key, seat.workers, steering.by);
    this.exchange = new Exchange(lanes, seat.index, (worker) => ports[worker]!.postMessage(null));
    for (const port of ports) {
      port?.on('message', () => this.link?.awake());
      // What keeps this thread is its parent's port.
      port?.unref();
    }
  }

  async handle(call: Call): Promise<unknown> {
    switch (call.call) {
      case 'first':
        return this.first(call.device, call.steer);
      case 'join':
        return this.join(call.opened);
      case 'start':
        return this.start();
      case 'ask':
        return this.program?.answer?.(call.question, call.port);
      case 'handedOver':
        return this.handedOver();
      case 'close':
        // The port closes with the thread, behind the answer.
        return this.program?.network.close();
    }
    const { network } = this.program!;
    // Timers that are due count as fired.
    network.driver.sync();
    switch (call.call) {
      case 'sockets':
        return network.sockets(call.limit);
      case 'records':
        return network.timeWait.list(call.limit);
      case 'counters': {
        const { values } = network.stack.counters;
        return Object.fromEntries(counterNames.map((name, i) => [name, values[i]!]));
      }
    }
  }

  /**
   * Opens the device. Only a device whose packets the kernel steers gets several queues: left to itself, it moves flows
   * from one queue to another, and packets overtake each other on the way to their owner.
   */
  private first(name: string, steer: boolean): Opened {
    const { mtu, offload } = this.given;
    let queue = TunLink.open({ name, mtu, offload, multiQueue: steer, exclusive: true });
    let steered = steer;
    if (steer) {
      try {
        queue.steer(steeringProgram(this.steering));
      } catch {
        // Not allowed to, or a kernel that cannot.
        queue.close();
        steered = false;
        queue = TunLink.open({ name, mtu, offload, exclusive: true });
      }
    }
    this.use(queue, steered ? 'steered' : 'mixed');
    const descriptor = steered ? null : queue.descriptor;
    return { name: queue.name, mtu, offload: queue.offload, descriptor };
  }

  private join(opened: Opened): void {
    const { descriptor } = opened;
    if (descriptor === null) this.use(TunLink.open({ ...opened, multiQueue: true }), 'steered');
    else this.use(TunLink.share(descriptor, opened), 'nothing');
  }

  private use(queue: TunLink, feed: Feed): void {
    queue.unref();
    this.link = new SteeredLink(queue, this.steering, this.exchange, feed);
  }

  private async start(): Promise<void> {
    const { seat, origin, hostSeed, program, data } = this.given;
    const { steering } = this;
    const place: Seat = {
      ...seat,
      link: this.link!,
      clock: new RealClock(origin),
      stack: {
        hostSeed,
        owns: (...tuple) => steering.ownerOfTuple(...tuple) === seat.index,
      },
    };
    const { default: main } = (await import(program)) as { default?: WorkerMain };
    if (typeof main !== 'function') throw new TypeError(`${program}: the default export is no function`);
    const made = (await main(place, data)) as Network | WorkerProgram | undefined;
    const network = made instanceof Network ? made : made?.network;
    if (network === undefined) throw new TypeError(`${program}: the default export returned no network`);
    this.program = made instanceof Network ? { network } : (made as WorkerProgram);
    network.on('error', (error) => {
      throw error;
    });
  }

  private handedOver(): HandedOver {
    const { given, taken, lost } = this.exchange;
    return { given, taken, lost };
  }

  serve(): void {
    this.toMain.on('message', (call: Call) => {
      const { id } = call;
      this.handle(call)
        .then((value) => this.toMain.postMessage({ id, value } satisfies Reply))
        // An answer that cannot be posted is an error too.
        .catch((error: unknown) => this.toMain.postMessage({ id, error: failureOf(error) } satisfies Reply));
    });
  }
}

function failureOf(error: unknown): Failure {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error) };
  const { name, message, code, syscall, details, stack } = error as Error & Record<string, unknown>;
  return {
    name: name === 'Error' ? error.constructor.name : name,
    message,
    ...(typeof code === 'string' ? { code } : {}),
    ...(typeof syscall === 'string' ? { syscall } : {}),
    ...(Array.isArray(details) ? { details: details.map(String) } : {}),
    ...(typeof stack === 'string' ? { stack } : {}),
  };
}

new Thread(workerData as ThreadData, parentPort!).serve();
