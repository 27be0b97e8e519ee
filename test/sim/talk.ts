/** A NAT, and a conversation through it. */
import { Nat, type NatOptions } from '../../src/sim/nat.js';
import { packet } from '../lab/packets.js';
import { say } from './translated.js';

export const V4 = { outside: '203.0.113.7', inside: '10.0.0.11', other: '10.0.0.12', server: '198.51.100.2' };
export const V6 = { outside: '2001:db8::7', inside: 'fd00::b', other: 'fd00::c', server: '2001:db8:1::2' };
export const versions = [V4, V6];

export function nat(options: Partial<NatOptions> = {}): Nat {
  return new Nat({ outside: [V4.outside, V6.outside], choice: 'preserve', seed: 1, now: 0, ...options });
}

/** A conversation with one server through a NAT; times in ms. */
export class Talk {
  now = 0;
  /** The port the server sees. */
  shown: number;

  constructor(
    readonly nat: Nat,
    readonly ends = V4,
    readonly port = 4000,
    readonly host = 0,
  ) {
    this.shown = port;
  }

  /** The inside host says something; the source port the server sees, 0 when it never left. */
  out(text: string): number {
    const bytes = packet(this.ends.inside, this.port, this.ends.server, 80, text);
    if (!this.nat.outbound(this.host, bytes, 0, bytes.length, this.now)) return 0;
    this.shown = Number(say(bytes).split(' ')[1]);
    return this.shown;
  }

  /** The server says something to the port; the host that hears it, -1 when nobody. */
  back(text: string, port = this.shown): number {
    const bytes = packet(this.ends.server, 80, this.ends.outside, port, text);
    return this.nat.inbound(bytes, 0, bytes.length, this.now);
  }

  after(ms: number): this {
    this.now += ms;
    return this;
  }

  get states(): string[] {
    return this.nat.flows(this.now).map(({ state }) => state);
  }

  open(): void {
    this.out('S 100:100(0) win 1000');
    this.back('S. 500:500(0) ack 101 win 1000');
    this.out('. 101:101(0) ack 501 win 1000');
  }

  /** The server closes first. */
  close(): void {
    this.back('F. 501:501(0) ack 101 win 1000');
    this.out('. 101:101(0) ack 502 win 1000');
    this.out('F. 101:101(0) ack 502 win 1000');
    this.back('. 502:502(0) ack 102 win 1000');
  }
}
