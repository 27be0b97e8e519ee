/** What one worker of `run` and `serve` does: a stack on its queue, and the services. */
import type { MessagePort } from 'node:worker_threads';
import { PortStream } from '../workers/port-stream.js';
import type { Seat, WorkerProgram } from '../workers/seat.js';
import { captureOf } from './captures.js';
import { choosePolicy } from './choose-policy.js';
import { ControlSession } from './control-session.js';
import type { Connect, Question } from './control.js';
import type { EngineFlags } from './engines.js';
import { startServices } from './services.js';
import { setUp } from './setup.js';
import { tallyOf, type Tally } from './tally.js';

export interface WorkerData {
  readonly flags: EngineFlags;
  readonly addresses: readonly string[];
}

/** What the main thread asks. */
export type Asked =
  | { readonly ask: 'tally' }
  | { readonly ask: 'control'; readonly request: Question }
  | { readonly ask: 'connect'; readonly request: Connect }
  | { readonly ask: 'close' };

export default async function worker(seat: Seat, data: unknown): Promise<WorkerProgram> {
  const { flags, addresses } = data as WorkerData;
  const own: EngineFlags = {
    ...flags,
    ...(flags.pcap === undefined ? {} : { pcap: captureOf(flags.pcap, seat.index) }),
    // Each has its own chances.
    ...(flags.faults === undefined
      ? {}
      : { faults: { ...flags.faults, seed: (flags.faults.seed ?? 1) + seat.index } }),
  };
  const policy = await choosePolicy(flags);
  const { network, close } = await setUp(seat.link, addresses, own, policy, seat);
  network.driver.hold();
  const services = await startServices(network, flags);
  const control = new ControlSession(network, flags.remember, seat);
  return {
    network,
    answer(question: unknown, port: MessagePort | null): Promise<object> | Tally | undefined {
      const asked = question as Asked;
      switch (asked.ask) {
        case 'tally':
          return tallyOf(network, services);
        case 'control':
          return control.answer(asked.request);
        case 'connect':
          control.connect(new PortStream(port!), asked.request);
          return undefined;
        case 'close':
          close();
          return undefined;
      }
    },
  };
}
