/** Packet and pcap links on the two ends of a veth pair, talking to each other; what is lost is counted. */
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { EthernetLink } from '../../src/link/ethernet-link.js';
import { type EthernetOptions } from '../../src/link/ethernet-link.js';
import { bpfFilter } from '../../src/link/bpf.js';
import { interfaceFacts } from '../../src/link/interface.js';
import { native } from '../../src/link/native.js';
import { openPacketLink } from '../../src/link/packet.js';
import { openPcapLink, pcapFilter } from '../../src/link/pcap.js';
import { RealClock } from '../../src/net/real-clock.js';
import { PacketRing } from '../../src/wire/ring.js';
import { inNamespace, ip } from '../native/namespace.js';
import { mac, own, packet } from './ethernet-host.js';

const ADDRESSES = [
  ['10.0.0.2/24', 'fd00::2/64'],
  ['10.0.0.3/24', 'fd00::3/64'],
] as const;

function options(side: 0 | 1, more: Partial<EthernetOptions> = {}): EthernetOptions {
  return {
    mac: mac(`02:00:00:00:00:0${side + 1}`),
    addresses: ADDRESSES[side].map(own),
    detect: false,
    clock: new RealClock(),
    seed: 1,
    ...more,
  };
}

/** Sends one packet, then moves frames at both ends until it has arrived or a while has passed; what came. */
async function carry(from: EthernetLink, to: EthernetLink, bytes: Uint8Array): Promise<Uint8Array[]> {
  const out = new PacketRing(4, 2048);
  const rings = [new PacketRing(64, 65_536), new PacketRing(64, 65_536)] as const;
  out.bytes.set(bytes, out.tailOffset());
  out.push(bytes.length, 0);
  from.transmit(out);
  const came: Uint8Array[] = [];
  for (let tries = 0; tries < 200 && came.length === 0; tries++) {
    from.receive(rings[0]);
    to.receive(rings[1]);
    for (let i = 0; i < rings[1].count; i++) {
      const at = rings[1].offsetOf(i);
      came.push(rings[1].bytes.slice(at, at + rings[1].lengthOf(i)));
    }
    rings[0].clear();
    rings[1].clear();
    await sleep(5);
  }
  return came;
}

function noCap(): string | false {
  try {
    createRequire(import.meta.url)('cap');
    return false;
  } catch {
    return 'the package cap is not installed: it needs a C++ compiler and libpcap-dev';
  }
}

if (inNamespace(t, import.meta.url)) {
  const loaded = native();
  if (!loaded.ok) throw new Error(loaded.reason);
  const { addon } = loaded;
  ip('link set lo up');
  ip('link add va type veth peer name vb');
  for (const name of ['va', 'vb']) {
    execFileSync('sh', ['-c', `echo 1 > /proc/sys/net/ipv6/conf/${name}/disable_ipv6`]);
    ip(`link set ${name} up`);
  }

  t.test('facts of an interface', async (t) => {
    t.match(interfaceFacts(addon, 'va'), { mtu: 1500, up: true, ethernet: true });
    t.match(interfaceFacts(addon, 'lo'), { ethernet: false });
    t.equal(interfaceFacts(addon, 'nosuch'), null);
  });

  t.test('refusals have codes', async (t) => {
    t.throws(() => openPacketLink('nosuch', options(0)), { code: 'ENODEV', message: /nosuch/ });
    t.throws(() => openPacketLink('lo', options(0)), { code: 'EPROTONOSUPPORT' });
    t.throws(() => openPacketLink('', options(0)), { code: 'ERR_OUT_OF_RANGE' });
  });

  for (const [name, open, skip] of [
    ['packet', openPacketLink, false],
    ['pcap', openPcapLink, noCap()],
  ] as const) {
    t.test(
      `${name} and packet: asked, answered, carried, with a VLAN tag and without`,
      { skip },
      async (t) => {
        for (const vlan of [0, 5]) {
          const a = open('va', options(0, { vlan }));
          const b = openPacketLink('vb', options(1));
          for (const [source, target] of [
            ['10.0.0.2', '10.0.0.3'],
            ['fd00::2', 'fd00::3'],
          ] as const) {
            const there = packet(source, target);
            t.same(await carry(a, b, there), [there], `${target}, VLAN ${vlan}`);
            const back = packet(target, source);
            t.same(await carry(b, a, back), [back], `${source}, VLAN ${vlan}: the tag came back`);
          }
          t.same(await carry(b, a, packet('10.0.0.3', '10.0.0.77')), [], 'nobody answers for that');
          a.close();
          b.close();
          a.close();
        }
      },
    );
  }

  t.test('what does not fit the ring of the kernel is counted', async (t) => {
    const small = new addon.PacketQueue(
      'va',
      bpfFilter(ADDRESSES[0].map(own)),
      Uint8Array.of(2, 0, 0, 0, 0, 1),
      new Uint8Array(0),
      4096,
      2,
      10,
    );
    const bytes = packet('10.0.0.3', '10.0.0.2');
    const ring = new PacketRing(64, 2048);
    const records = new Uint8Array(64 * 20);
    const peer = new addon.PacketQueue(
      'vb',
      bpfFilter([]),
      Uint8Array.of(2, 0, 0, 0, 0, 3),
      new Uint8Array(0),
      4096,
      2,
      10,
    );
    for (let i = 0; i < 64; i++) {
      const slot = ring.slotOf(ring.count);
      records.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 8, 0, 0, 0], slot * 20);
      ring.bytes.set(bytes, ring.tailOffset());
      ring.push(bytes.length, 0);
    }
    const send = (): number =>
      peer.transmit(ring.bytes, ring.lengths, ring.head, ring.count, ring.slots, ring.slotSize, records);
    for (let i = 0; i < 10; i++) t.equal(send(), 64);
    const into = new PacketRing(1024, 2048);
    const seen = new Uint8Array(1024 * 20);
    let got = 0;
    for (let tries = 0; tries < 50; tries++) {
      got += small.receive(into.bytes, into.lengths, 0, 0, into.slots, into.slotSize, seen);
      await sleep(2);
    }
    t.ok(got > 0, 'some came');
    t.equal(got + small.counters().dropped, 640, 'and every other one was counted');
    small.close();
    peer.close();
  });

  t.test('a device that goes away is an error; a closed link does nothing', async (t) => {
    const a = openPacketLink('va', options(0));
    const ring = new PacketRing(16, 2048);
    ip('link del va');
    t.throws(
      () => {
        for (let i = 0; i < 3; i++) a.receive(ring);
      },
      { code: /ENODEV|ENETDOWN|ENXIO/ },
    );
    a.close();
    t.equal(a.receive(ring), 0);
    t.equal(a.transmit(ring), 0);
  });
}

t.test('the filter that libpcap is given', async (t) => {
  t.equal(
    pcapFilter(mac('02:00:00:00:00:01'), ADDRESSES[0].map(own)),
    'not ether src 02:00:00:00:00:01 and (arp or (ip and dst host 10.0.0.2) or (ip6 and dst host fd00::2) or ' +
      '(ip6 and dst host ff02::1) or (ip6 and dst host ff02::1:ff00:2))',
  );
});
