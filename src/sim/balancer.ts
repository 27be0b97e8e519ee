/**
 * A layer-4 load balancer that translates both ends: clients talk to one address and
 * port; each connection goes to the next of its servers, from one address of the
 * balancer's own with a port from its range. So the servers see few tuples again and
 * again, with the clocks and sequence numbers of many machines behind them.
 * Connections are tracked as in a NAT.
 */
import type { Address } from '../wire/address.js';
import type { Flow, Tuple } from './flows.js';
import { TCP } from './packet.js';
import { Translator, addressOf, familyOf, type PortChoice, type TranslatorOptions } from './translator.js';

export interface BalancerOptions extends TranslatorOptions {
  /** Where clients connect to. */
  readonly address: Address | string;
  readonly port: number;
  /** Taken in turn, one connection each. All of the same IP version as `address`. */
  readonly servers: readonly { readonly address: Address | string; readonly port: number }[];
  /** The source of what the servers see; default `address`. */
  readonly source?: Address | string;
  /** Default 'sequential'. */
  readonly choice?: PortChoice;
}

interface Server {
  readonly words: Int32Array;
  readonly port: number;
}

export class Balancer extends Translator {
  private readonly address: Address;
  private readonly port: number;
  private readonly source: Address;
  private readonly servers: readonly Server[];
  private turn = 0;

  /** Throws RangeError with one line for options out of range. */
  constructor(options: BalancerOptions) {
    super(options, options.choice ?? 'sequential');
    this.address = addressOf('address', options.address);
    this.port = options.port;
    this.source = options.source === undefined ? this.address : addressOf('source', options.source);
    if (options.servers.length === 0) throw new RangeError('servers: at least one');
    this.servers = options.servers.map((server) => {
      const { words, family } = addressOf('servers', server.address);
      checkFamily('servers', family, this.address);
      checkPort('servers', server.port);
      return { words, port: server.port };
    });
    checkFamily('source', this.source.family, this.address);
    checkPort('port', options.port);
  }

  /**
   * A packet of a client on its way to a server, rewritten in place: the server's number, -1 when
   * it was left as it is and must not go on. `side` (0 and up): where it came in, in case clients
   * of several networks have the same addresses.
   */
  toServer(side: number, bytes: Uint8Array, offset: number, length: number, now: number): number {
    const flow = this.forward(side, bytes, offset, length, now);
    return flow === null ? -1 : flow.server;
  }

  /** A packet of a server on its way back, rewritten in place: the side to send it out on, -1 when it was left as it is. */
  toClient(bytes: Uint8Array, offset: number, length: number, now: number): number {
    const flow = this.backward(bytes, offset, length, now);
    return flow === null ? -1 : flow.original.realm;
  }

  protected answer(flow: Flow, reply: Tuple): boolean {
    const { original } = flow;
    const vip = this.address.words;
    const ours =
      original.protocol === TCP &&
      original.dstPort === this.port &&
      familyOf(original) === this.address.family &&
      original.dst0 === vip[0] &&
      original.dst1 === vip[1] &&
      original.dst2 === vip[2] &&
      original.dst3 === vip[3];
    if (!ours) return false;
    const { words, port } = this.servers[this.turn]!;
    flow.server = this.turn;
    this.turn = (this.turn + 1) % this.servers.length;
    reply.setSource(words[0]!, words[1]!, words[2]!, words[3]!, port);
    const s = this.source.words;
    reply.setDestination(s[0]!, s[1]!, s[2]!, s[3]!, 0);
    return true;
  }
}

function checkFamily(what: string, family: 4 | 6, like: Address): void {
  if (family !== like.family)
    throw new RangeError(
      `${what}: IPv${family}, but clients connect to the IPv${like.family} address ${like.toString()}`,
    );
}

function checkPort(what: string, port: number): void {
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new RangeError(`${what}: port ${port}; allowed are 1 to 65535`);
}
