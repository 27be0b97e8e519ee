/**
 * The kernel world on other links than TUN. The wire's far end goes to a namespace of its own,
 * and our link is opened there: the kernel that stays here is the peer, and node:net speaks for it.
 */
import { closeSync, openSync } from 'node:fs';
import type { EthernetOptions } from '../link/ethernet-link.js';
import type { Link } from '../link/link.js';
import { native } from '../link/native.js';
import type { OwnPrefix } from '../link/own-addresses.js';
import { openPacketLink } from '../link/packet.js';
import { openPcapLink } from '../link/pcap.js';
import { RAW_MARK, RawLink } from '../link/raw.js';
import { RealClock } from '../net/real-clock.js';
import { parsePrefix } from '../wire/address.js';
import { ResetGuard } from './reset-guard.js';
import { FIXED, SERVICE, type WorldMaker } from './scenes.js';
import { Wire } from './veth.js';
import { KERNEL_SIDE, STACK_SIDE, kernelWorldOn } from './world.js';

export const WIRES = ['packet', 'pcap', 'raw'] as const;
export type WireKind = (typeof WIRES)[number];

export interface LinkWorlds {
  readonly make: WorldMaker;
  close(): void;
}

const OURS = 'tw0';
const THEIRS = 'tw1';
/** Locally administered. */
const MAC = { high: 0x0200, low: 0x0077_0002 };
const CLONE_NEWNET = 0x4000_0000;

/** One wire for all worlds. Throws Error with one line when the system refuses. */
export async function linkWorlds(kind: WireKind): Promise<LinkWorlds> {
  const wire = await Wire.start({
    names: [THEIRS, OURS],
    ours: KERNEL_SIDE,
    // A raw socket sees what is sent to addresses of its own kernel.
    theirs: kind === 'raw' ? STACK_SIDE : [],
  });
  try {
    const guard = kind === 'raw' ? await within(wire.namespace, guardOurPorts) : null;
    return {
      make: async (options) => {
        const clock = new RealClock();
        return kernelWorldOn(await within(wire.namespace, () => open(kind, clock)), clock, options);
      },
      close() {
        guard?.close();
        wire.close();
      },
    };
  } catch (error) {
    wire.close();
    throw error;
  }
}

/** What this thread opens and starts in `action` belongs to that network namespace. Nothing else is to be started meanwhile. */
async function within<T>(namespace: string, action: () => T | Promise<T>): Promise<T> {
  const loaded = native();
  if (!loaded.ok) throw new Error(`${loaded.reason}: ${loaded.cure}`);
  const enter = (fd: number): void => {
    const refused = loaded.addon.syscall('setns', fd, CLONE_NEWNET);
    if (refused < 0) throw new Error(`setns: errno ${-refused}`);
  };
  const [home, there] = ['/proc/thread-self/ns/net', namespace].map((path) => openSync(path, 'r'));
  try {
    enter(there!);
    return await action();
  } finally {
    enter(home!);
    closeSync(there!);
    closeSync(home!);
  }
}

function guardOurPorts(): Promise<ResetGuard> {
  const addresses = STACK_SIDE.map((each) => each.replace(/\/.*/, ''));
  return ResetGuard.start({ addresses, ports: [String(SERVICE), String(FIXED)], mark: RAW_MARK });
}

function open(kind: WireKind, clock: RealClock): Link {
  const addresses = STACK_SIDE.map((text): OwnPrefix => {
    const { address, prefix } = parsePrefix(text)!;
    return { words: address.words, family: address.family, prefix };
  });
  const common = { addresses, trustChecksums: false, onHint: () => undefined };
  if (kind === 'raw') return new RawLink({ ...common, device: OURS, mtu: 1500 });
  // Nobody else is on this wire.
  const options: EthernetOptions = {
    ...common,
    mac: MAC,
    gateways: [],
    vlan: 0,
    detect: false,
    clock,
    seed: 1,
  };
  return (kind === 'pcap' ? openPcapLink : openPacketLink)(OURS, options);
}
