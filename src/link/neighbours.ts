/**
 * The neighbour side of an Ethernet link: our addresses with a MAC of their own, beside
 * whatever kernels and hosts there are. Frames and the time in, frames out; no device, no
 * timer, no clock.
 *
 *   receive(...)      a frame came: PASS (an IP packet for us), or TAKEN care of
 *   address(...)      writes the link header for an IP packet; false: the next hop is not known
 *   hold(...)         keeps such a packet and asks for the next hop
 *   advance(now)      what is due: repeated questions, probes, announcements
 *   outgoing          frames to be sent, each with its record beside it
 *   unreachable       ICMP errors for our own stack: nobody answered
 *
 * ARP (RFC 826, RFC 5227) and neighbour discovery (RFC 4861, RFC 4862) share one table with
 * the states of RFC 4861 7.3. VLAN tags are kept: answers carry the tag of the question, and
 * packets the tag their neighbour was heard with. Bounded: 512 neighbours, 64 packets waiting
 * for each and 256 in all, 256 frames to be sent. Whatever comes in, nothing throws.
 */
import { add, diff } from '../seqnum.js';
import { formatWords, isBroadcastV4, isMulticast, sharesPrefix } from '../wire/address.js';
import { ARP_REPLY, ARP_REQUEST, ArpPacket } from '../wire/arp.js';
import { LOAD_OK } from '../wire/codes.js';
import {
  BROADCAST,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  FROM,
  TAG,
  TO,
  TYPE,
  formatMac,
  isGroup,
  multicastMac,
  type Mac,
} from '../wire/ethernet.js';
import { icmpError } from '../wire/icmp.js';
import { IpHeader, half, word } from '../wire/ip.js';
import {
  ADVERTISEMENT,
  ALL_NODES,
  NeighbourMessage,
  OVERRIDE,
  SOLICITATION,
  SOLICITED,
  isDiscovery,
  solicitedNode,
} from '../wire/ndp.js';
import { FrameWriter, typeOf, writeRecord } from './frame-writer.js';
import {
  DELAY,
  INCOMPLETE,
  MOST_WAITING,
  NeighbourTable,
  PROBE,
  REACHABLE,
  STALE,
  stateNames,
  type Neighbour,
} from './neighbour-table.js';
import {
  ANNOUNCE,
  ASK,
  DUPLICATE,
  OwnAddress,
  PREFERRED,
  TENTATIVE,
  type OwnPrefix,
} from './own-addresses.js';
import { Prng } from './prng.js';

/** RFC 4861 10, ms. */
const MAX_MULTICAST_SOLICIT = 3;
const MAX_UNICAST_SOLICIT = 3;
const RETRANS_TIMER = 1000;
const REACHABLE_TIME = 30_000;
const DELAY_FIRST_PROBE_TIME = 5000;

const LIMIT = 512;
const MOST_HELD = 256;

/** What `receive` says. */
export const TAKEN = 0;
export const PASS = 1;

export interface NeighboursOptions {
  readonly mac: Mac;
  readonly addresses: readonly OwnPrefix[];
  /** Next hops for what is not on the link, at most one of each family. */
  readonly gateways?: readonly OwnPrefix[];
  /** VLAN that questions of our own go to, 1..4094; 0: untagged. */
  readonly vlan?: number;
  /** Ask whether somebody has our addresses before they are used; default true. */
  readonly detect?: boolean;
  /** Largest IP packet that may wait. */
  readonly mtu: number;
  readonly now: number;
  /** int32, of everything that is random. */
  readonly seed: number;
}

export interface NeighbourCounts {
  /** Frames that were for nobody here, or said nothing we could use. */
  ignored: number;
  /** ARP and discovery packets that were malformed or forged from afar. */
  bad: number;
  /** Packets lost because nobody answered for their next hop, or there is none. */
  unreachable: number;
  /** Packets lost because a queue was full. */
  overflow: number;
  /** Others that claim an address of ours. */
  conflicts: number;
}

/** A neighbour as people look at it. */
export interface NeighbourRow {
  readonly address: string;
  /** null while it is not known. */
  readonly mac: string | null;
  readonly state: (typeof stateNames)[number];
}

export class Neighbours {
  readonly outgoing: FrameWriter;
  /** ICMP errors for our own stack; whoever delivers one takes it out. At most 64. */
  readonly unreachable: Uint8Array[] = [];
  readonly own: readonly OwnAddress[];
  readonly counts: NeighbourCounts = { ignored: 0, bad: 0, unreachable: 0, overflow: 0, conflicts: 0 };
  private readonly table: NeighbourTable;
  private readonly mac: Mac;
  private readonly tag: number;
  private readonly gateways: readonly OwnPrefix[];
  private readonly random: Prng;
  private held = 0;
  private readonly arp = new ArpPacket();
  private readonly ip = new IpHeader();
  private readonly message = new NeighbourMessage();
  /** Words of the destination, then of the next hop of the packet looked at. */
  private readonly hop = new Int32Array(4);
  /** When something is due, and whether anything is. */
  private due = 0;
  private hasDue = true;

  constructor(options: NeighboursOptions) {
    this.random = new Prng(options.seed);
    this.table = new NeighbourTable(LIMIT, this.random.next());
    this.mac = options.mac;
    this.tag = options.vlan ? (0x8100 << 16) | options.vlan : 0;
    this.gateways = options.gateways ?? [];
    this.outgoing = new FrameWriter(options.mac, options.mtu);
    const detect = options.detect ?? true;
    this.own = options.addresses.map((each) => new OwnAddress(each, options.now, detect, this.random));
    this.due = options.now;
  }

  /** All addresses were asked for: they are ours, or somebody else's. */
  get settled(): boolean {
    return this.own.every((each) => each.state !== TENTATIVE);
  }

  rows(now: number): NeighbourRow[] {
    return [...this.table.entries()].map((entry) => {
      this.age(entry, now);
      return {
        address: formatWords(entry.w0, entry.w1, entry.w2, entry.w3),
        mac: entry.state === INCOMPLETE ? null : formatMac(entry.macHigh, entry.macLow),
        state: stateNames[entry.state]!,
      };
    });
  }

  /** A frame: its record, and what follows the header. */
  receive(
    records: Uint8Array,
    record: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
    now: number,
  ): number {
    const to = half(records, record + TO);
    const forUs = to === (this.mac.high & 0xffff) && word(records, record + TO + 2) === this.mac.low;
    if (!forUs && !isGroup(to)) return this.ignore();
    const type = half(records, record + TYPE);
    if (type === ETHERTYPE_ARP) return this.receiveArp(records, record, bytes, offset, length, now);
    if (type !== ETHERTYPE_IPV4 && type !== ETHERTYPE_IPV6) return this.ignore();
    if (type === ETHERTYPE_IPV6 && length > 40) {
      if (this.ip.load(bytes, offset, length) === LOAD_OK && isDiscovery(this.ip))
        return this.receiveMessage(records, record, now);
    }
    // RFC 1122 3.3.6: what was sent to a group of hosts on the link is no TCP segment for us.
    return forUs ? PASS : this.ignore();
  }

  private ignore(): number {
    this.counts.ignored++;
    return TAKEN;
  }

  private receiveArp(
    records: Uint8Array,
    record: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
    now: number,
  ): number {
    const { arp } = this;
    if (arp.load(bytes, offset, length) !== LOAD_OK) {
      this.counts.bad++;
      return TAKEN;
    }
    const { sender, target, senderHigh: high, senderLow: low, operation } = arp;
    if (isGroup(high) || this.isOurs(high, low)) return this.ignore();
    const tag = word(records, record + TAG);
    // RFC 5227 2.1.1: while it is tentative, somebody who only asks for it is a rival too.
    const claimed = this.ownAddress(0, 0, 0xffff, sender);
    const asked = this.ownAddress(0, 0, 0xffff, target);
    if (claimed !== null) this.conflict(claimed, high, low, now);
    else if (asked?.state === TENTATIVE && sender === 0 && operation === ARP_REQUEST)
      this.conflict(asked, high, low, now);
    const forUs = asked?.state === PREFERRED;
    if (claimed === null && (forUs || asked === null)) this.learnArp(high, low, tag, forUs, now);
    if (forUs && operation === ARP_REQUEST)
      this.outgoing.arp(ARP_REPLY, asked.words[3]!, { high, low }, sender, { high, low }, tag);
    return TAKEN;
  }

  /** RFC 826: an entry there is gets the new address; a new one is made only when we were asked. */
  private learnArp(high: number, low: number, tag: number, forUs: boolean, now: number): void {
    const { sender, operation } = this.arp;
    if (sender === 0) return;
    let entry = this.table.find(0, 0, 0xffff, sender);
    if (entry === null) {
      if (!forUs || operation !== ARP_REQUEST || !this.isNeighbour(0, 0, 0xffff, sender)) return;
      entry = this.add(0, 0, 0xffff, sender, now);
    }
    const changed = entry.state === INCOMPLETE || entry.macHigh !== high || entry.macLow !== low;
    if (forUs && operation === ARP_REPLY) this.confirm(entry, high, low, tag, true, now);
    else if (changed) this.confirm(entry, high, low, tag, false, now);
  }

  private receiveMessage(records: Uint8Array, record: number, now: number): number {
    const { ip, message } = this;
    const type = ip.bytes[ip.payloadOffset];
    if (type !== SOLICITATION && type !== ADVERTISEMENT) return this.ignore();
    if (message.load(ip) !== LOAD_OK) {
      this.counts.bad++;
      return TAKEN;
    }
    const high = message.hasMac ? message.macHigh : half(records, record + FROM);
    const low = message.hasMac ? message.macLow : word(records, record + FROM + 2);
    if (isGroup(high) || this.isOurs(high, low)) return this.ignore();
    const tag = word(records, record + TAG);
    const { target0, target1, target2, target3 } = message;
    const own = this.ownAddress(target0, target1, target2, target3);
    if (type === ADVERTISEMENT) {
      if (own !== null) this.conflict(own, high, low, now);
      else this.learnAdvertised(high, low, tag, now);
    } else if (own !== null) this.receiveSolicitation(own, high, low, tag, now);
    return TAKEN;
  }

  /** RFC 4861 7.2.3 and 7.2.4. */
  private receiveSolicitation(own: OwnAddress, high: number, low: number, tag: number, now: number): void {
    const { ip, message } = this;
    const unspecified = (ip.src0 | ip.src1 | ip.src2 | ip.src3) === 0;
    if (own.state === TENTATIVE) {
      // RFC 4862 5.4.3: two nodes ask for the same address, neither may have it.
      if (unspecified) this.conflict(own, high, low, now);
      return;
    }
    if (own.state !== PREFERRED) return;
    if (unspecified) {
      const all = multicastMac(6, ALL_NODES[3]!);
      this.outgoing.discovery(ADVERTISEMENT, OVERRIDE, own.words, ALL_NODES, own.words, all, tag);
      return;
    }
    if (message.hasMac && this.isNeighbour(ip.src0, ip.src1, ip.src2, ip.src3)) {
      const entry =
        this.table.find(ip.src0, ip.src1, ip.src2, ip.src3) ??
        this.add(ip.src0, ip.src1, ip.src2, ip.src3, now);
      if (entry.state === INCOMPLETE || entry.macHigh !== high || entry.macLow !== low)
        this.confirm(entry, high, low, tag, false, now);
    }
    const source = Int32Array.of(ip.src0, ip.src1, ip.src2, ip.src3);
    this.outgoing.discovery(
      ADVERTISEMENT,
      SOLICITED | OVERRIDE,
      own.words,
      source,
      own.words,
      { high, low },
      tag,
    );
  }

  /** RFC 4861 7.2.5. */
  private learnAdvertised(high: number, low: number, tag: number, now: number): void {
    const { message } = this;
    const entry = this.table.find(message.target0, message.target1, message.target2, message.target3);
    if (entry === null) return;
    const solicited = (message.flags & SOLICITED) !== 0;
    if (entry.state === INCOMPLETE) {
      if (message.hasMac) this.confirm(entry, high, low, tag, solicited, now);
      return;
    }
    const other = message.hasMac && (entry.macHigh !== high || entry.macLow !== low);
    if (other && (message.flags & OVERRIDE) === 0) {
      if (entry.state === REACHABLE) this.enter(entry, STALE, now);
    } else if (solicited)
      this.confirm(entry, other ? high : entry.macHigh, other ? low : entry.macLow, tag, true, now);
    else if (other) this.confirm(entry, high, low, tag, false, now);
  }

  /**
   * Writes the record for the IP packet at `offset`. False when the next hop's address is not
   * known: then `hold` takes the packet.
   */
  address(
    bytes: Uint8Array,
    offset: number,
    length: number,
    records: Uint8Array,
    record: number,
    now: number,
  ): boolean {
    const version = this.nextHop(bytes, offset, length);
    if (version === 0) return false;
    const [w0, w1, w2, w3] = this.hop as unknown as [number, number, number, number];
    const group = isMulticast(w0, w1, w2, w3)
      ? multicastMac(version, w3)
      : version === 4 && isBroadcastV4(w0, w1, w2, w3)
        ? BROADCAST
        : null;
    if (group !== null) {
      writeRecord(records, record, group.high, group.low, this.mac, this.tag, typeOf(version));
      return true;
    }
    const entry = this.table.find(w0, w1, w2, w3);
    if (entry === null || entry.state === INCOMPLETE) return false;
    entry.used = now;
    this.age(entry, now);
    if (entry.state === STALE) this.enter(entry, DELAY, now);
    writeRecord(records, record, entry.macHigh, entry.macLow, this.mac, entry.tag, typeOf(version));
    return true;
  }

  /** A packet whose next hop is not known: it waits, and somebody is asked. */
  hold(bytes: Uint8Array, offset: number, length: number, now: number): void {
    const version = this.nextHop(bytes, offset, length);
    const packet = bytes.slice(offset, offset + length);
    if (version === 0) {
      this.fail(packet, false);
      return;
    }
    const [w0, w1, w2, w3] = this.hop as unknown as [number, number, number, number];
    let entry = this.table.find(w0, w1, w2, w3);
    if (entry === null) {
      entry = this.add(w0, w1, w2, w3, now);
      this.enter(entry, INCOMPLETE, now);
    }
    if (entry.waiting.length === MOST_WAITING || this.held === MOST_HELD) {
      this.counts.overflow++;
      if (entry.waiting.shift() === undefined) return;
      this.held--;
    }
    entry.waiting.push(packet);
    this.held++;
  }

  /** ms until `advance` has something to do, -1 for never. */
  nextDeadline(now: number): number {
    return this.hasDue ? Math.max(0, diff(this.due, now)) : -1;
  }

  advance(now: number): void {
    if (!this.hasDue || diff(this.due, now) > 0) return;
    for (const own of this.own) {
      const what = own.due(now, this.random);
      if (what === ASK) this.ask(own);
      else if (what === ANNOUNCE) this.announce(own);
    }
    for (const entry of [...this.table.entries()])
      if (entry.timed && diff(entry.until, now) <= 0) this.timeOut(entry, now);
    this.plan(now);
  }

  /** When the next thing is due: looked for only when something was. */
  private plan(now: number): void {
    this.hasDue = false;
    for (const own of this.own) {
      const wait = own.wait(now);
      if (wait >= 0) this.dueAt(add(now, wait));
    }
    for (const entry of this.table.entries()) if (entry.timed) this.dueAt(entry.until);
  }

  private dueAt(at: number): void {
    if (!this.hasDue || diff(at, this.due) < 0) this.due = at;
    this.hasDue = true;
  }

  /** RFC 4861 7.3.3. */
  private timeOut(entry: Neighbour, now: number): void {
    switch (entry.state) {
      case DELAY:
        this.enter(entry, PROBE, now);
        return;
      case PROBE:
        if (entry.probes < MAX_UNICAST_SOLICIT) this.solicit(entry, now);
        else this.table.delete(entry);
        return;
      case INCOMPLETE:
        if (entry.probes < MAX_MULTICAST_SOLICIT) this.solicit(entry, now);
        else {
          this.table.delete(entry);
          this.abandon(entry, true);
        }
    }
  }

  /** Moves into a state and does what belongs to that. */
  private enter(entry: Neighbour, state: number, now: number): void {
    entry.state = state;
    entry.probes = 0;
    if (state === INCOMPLETE || state === PROBE) this.solicit(entry, now);
    else if (state === DELAY) {
      entry.until = add(now, DELAY_FIRST_PROBE_TIME);
      this.dueAt(entry.until);
    }
    // Uniform between MIN_RANDOM_FACTOR and MAX_RANDOM_FACTOR (RFC 4861 6.3.2).
    else if (state === REACHABLE)
      entry.until = add(now, Math.floor(REACHABLE_TIME * (0.5 + this.random.fraction())));
  }

  private age(entry: Neighbour, now: number): void {
    if (entry.state === REACHABLE && diff(entry.until, now) <= 0) this.enter(entry, STALE, now);
  }

  /** Its address is known; `solicited`: it answered us, so it can be reached. */
  private confirm(
    entry: Neighbour,
    high: number,
    low: number,
    tag: number,
    solicited: boolean,
    now: number,
  ): void {
    entry.macHigh = high;
    entry.macLow = low;
    entry.tag = tag;
    this.enter(entry, solicited ? REACHABLE : STALE, now);
    for (const packet of entry.waiting) this.outgoing.packet(packet, high, low, tag);
    if (entry.waiting.length > 0) entry.used = now;
    this.held -= entry.waiting.length;
    entry.waiting.length = 0;
  }

  private add(w0: number, w1: number, w2: number, w3: number, now: number): Neighbour {
    const entry = this.table.add(w0, w1, w2, w3, now, (gone) => this.abandon(gone, false));
    // Whoever adds it says at once what it is: not INCOMPLETE without a question.
    entry.state = INCOMPLETE;
    return entry;
  }

  /** Its packets are lost. */
  private abandon(entry: Neighbour, answer: boolean): void {
    this.held -= entry.waiting.length;
    if (answer) for (const packet of entry.waiting) this.fail(packet, true);
    else this.counts.overflow += entry.waiting.length;
    entry.waiting.length = 0;
  }

  /** RFC 4861 7.2.2, RFC 1122 2.3.2.2: the sender hears of it, as from a router: host (address) or network (no route) unreachable. */
  private fail(packet: Uint8Array, host: boolean): void {
    this.counts.unreachable++;
    if (this.unreachable.length === 64) return;
    const v4 = packet[0]! >> 4 === 4;
    const source = packet.slice(v4 ? 12 : 8, v4 ? 16 : 24);
    const code = v4 ? (host ? 1 : 0) : host ? 3 : 0;
    this.unreachable.push(icmpError(packet, { type: v4 ? 3 : 1, code, source }));
  }

  /** Puts the next hop of a packet into `hop`; the packet's version, 0 when it has no way. */
  private nextHop(bytes: Uint8Array, offset: number, length: number): number {
    const { hop } = this;
    const version = length >= 20 ? bytes[offset]! >> 4 : 0;
    if (version === 4) {
      hop[0] = hop[1] = 0;
      hop[2] = 0xffff;
      hop[3] = word(bytes, offset + 16);
    } else if (version === 6 && length >= 40) {
      for (let i = 0; i < 4; i++) hop[i] = word(bytes, offset + 24 + 4 * i);
    } else return 0;
    const [w0, w1, w2, w3] = hop as unknown as [number, number, number, number];
    if (isMulticast(w0, w1, w2, w3) || this.isNeighbour(w0, w1, w2, w3)) return version;
    for (const gateway of this.gateways)
      if (gateway.family === version) {
        hop.set(gateway.words);
        return version;
      }
    return 0;
  }

  /** On the link: within a prefix of ours, a gateway, or link-local. */
  private isNeighbour(w0: number, w1: number, w2: number, w3: number): boolean {
    if (w0 >>> 22 === 0x3fa) return true;
    for (const own of this.own) if (within(own.words, own.prefix, w0, w1, w2, w3)) return true;
    for (const gateway of this.gateways) if (within(gateway.words, 128, w0, w1, w2, w3)) return true;
    return false;
  }

  private ownAddress(w0: number, w1: number, w2: number, w3: number): OwnAddress | null {
    for (const own of this.own) if (within(own.words, 128, w0, w1, w2, w3)) return own;
    return null;
  }

  private isOurs(high: number, low: number): boolean {
    return (high & 0xffff) === (this.mac.high & 0xffff) && low === this.mac.low;
  }

  private conflict(own: OwnAddress, high: number, low: number, now: number): void {
    if (own.state === PREFERRED) this.counts.conflicts++;
    if (own.claimed(high, low, now)) this.announce(own);
  }

  /** One question for a neighbour's address: to all, or to the address that is to be confirmed. */
  private solicit(entry: Neighbour, now: number): void {
    entry.probes++;
    entry.until = add(now, RETRANS_TIMER);
    this.dueAt(entry.until);
    const words = Int32Array.of(entry.w0, entry.w1, entry.w2, entry.w3);
    const known = entry.state === PROBE ? { high: entry.macHigh, low: entry.macLow } : null;
    const tag = known === null ? this.tag : entry.tag;
    const source = this.sourceFor(words);
    if (source === null) return;
    if (source.family === 4) {
      const to = known ?? BROADCAST;
      this.outgoing.arp(ARP_REQUEST, source.words[3]!, known ?? { high: 0, low: 0 }, entry.w3, to, tag);
      return;
    }
    const group = solicitedNode(words);
    const to = known ?? multicastMac(6, group[3]!);
    this.outgoing.discovery(SOLICITATION, 0, source.words, known === null ? group : words, words, to, tag);
  }

  /** An address of ours to ask from: one on the same prefix if there is. */
  private sourceFor(words: Int32Array): OwnAddress | null {
    const family = words[0] === 0 && words[1] === 0 && words[2] === 0xffff ? 4 : 6;
    const usable = this.own.filter((own) => own.family === family && own.state === PREFERRED);
    return usable.find((own) => sharesPrefix(own.words, words, own.prefix)) ?? usable[0] ?? null;
  }

  private ask(own: OwnAddress): void {
    if (own.family === 4) {
      // RFC 5227 2.1.1: the sender's address is all zero, so that nobody learns it yet.
      this.outgoing.arp(ARP_REQUEST, 0, { high: 0, low: 0 }, own.words[3]!, BROADCAST, this.tag);
      return;
    }
    const group = solicitedNode(own.words);
    const to = multicastMac(6, group[3]!);
    this.outgoing.discovery(SOLICITATION, 0, UNSPECIFIED, group, own.words, to, this.tag);
  }

  private announce(own: OwnAddress): void {
    if (own.state === DUPLICATE) return;
    const address = own.words[3]!;
    if (own.family === 4)
      this.outgoing.arp(ARP_REQUEST, address, { high: 0, low: 0 }, address, BROADCAST, this.tag);
    else {
      const all = multicastMac(6, ALL_NODES[3]!);
      this.outgoing.discovery(ADVERTISEMENT, OVERRIDE, own.words, ALL_NODES, own.words, all, this.tag);
    }
  }
}

const UNSPECIFIED = new Int32Array(4);

function within(words: Int32Array, prefix: number, w0: number, w1: number, w2: number, w3: number): boolean {
  return (
    matches(words[0]! ^ w0, prefix) &&
    matches(words[1]! ^ w1, prefix - 32) &&
    matches(words[2]! ^ w2, prefix - 64) &&
    matches(words[3]! ^ w3, prefix - 96)
  );
}

/** The first `bits` of a word's difference are 0. */
function matches(difference: number, bits: number): boolean {
  if (bits <= 0) return true;
  return bits >= 32 ? difference === 0 : difference >>> (32 - bits) === 0;
}
