/**
 * Middleboxes as stations: a NAT, a load balancer. The first wire laid to a box is its
 * outside (the balancer's servers); every other wire is an inside host (a client), by
 * number from 0.
 */
import { Balancer, type BalancerOptions } from './balancer.js';
import { Nat, type NatOptions } from './nat.js';
import type { Station, Surroundings, WireEnd } from './parts.js';

type WithoutSeed<T> = Omit<T, 'seed' | 'now'>;

abstract class Box implements Station {
  private outside: WireEnd | null = null;
  private readonly inside: WireEnd[] = [];

  constructor(
    protected readonly surroundings: Surroundings,
    readonly name: string,
  ) {}

  plug(end: WireEnd): void {
    if (this.outside === null) this.outside = end;
    else this.inside.push(end);
  }

  arrive(end: WireEnd, packet: Uint8Array): void {
    const now = Math.floor(this.surroundings.now) | 0;
    if (end === this.outside) {
      this.inside[this.inwards(packet, now)]?.send(packet);
    } else if (this.outwards(this.inside.indexOf(end), packet, now)) {
      this.outside?.send(packet);
    }
  }

  /** The number of the inside wire, -1 for none. */
  protected abstract inwards(packet: Uint8Array, now: number): number;
  protected abstract outwards(inside: number, packet: Uint8Array, now: number): boolean;
}

export class NatBox extends Box {
  readonly nat: Nat;

  constructor(surroundings: Surroundings, name: string, options: WithoutSeed<NatOptions>) {
    super(surroundings, name);
    const now = Math.floor(surroundings.now) | 0;
    this.nat = new Nat({ ...options, seed: surroundings.stream().next(), now });
  }

  protected inwards(packet: Uint8Array, now: number): number {
    return this.nat.inbound(packet, 0, packet.length, now);
  }

  protected outwards(inside: number, packet: Uint8Array, now: number): boolean {
    return this.nat.outbound(inside, packet, 0, packet.length, now);
  }
}

export class BalancerBox extends Box {
  readonly balancer: Balancer;

  constructor(surroundings: Surroundings, name: string, options: WithoutSeed<BalancerOptions>) {
    super(surroundings, name);
    const now = Math.floor(surroundings.now) | 0;
    this.balancer = new Balancer({ ...options, seed: surroundings.stream().next(), now });
  }

  protected inwards(packet: Uint8Array, now: number): number {
    return this.balancer.toClient(packet, 0, packet.length, now);
  }

  protected outwards(inside: number, packet: Uint8Array, now: number): boolean {
    return this.balancer.toServer(inside, packet, 0, packet.length, now) >= 0;
  }
}
