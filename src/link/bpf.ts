/** The capture filter of an Ethernet link, for the kernel: ARP, what is sent to our addresses, and the groups that questions for them go to. */
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../wire/ethernet.js';
import { ALL_NODES, solicitedNode } from '../wire/ndp.js';
import type { OwnPrefix } from './own-addresses.js';

/** Classic BPF: ld [k], ldh [k], jeq #k, ja k, ret #k. */
const LD = 0x20;
const LDH = 0x28;
const JEQ = 0x15;
const JA = 0x05;
const RET = 0x06;
const ALL = 0x40000;

interface Step {
  readonly code: number;
  readonly k: number;
  readonly yes: number;
  readonly no: number;
}

const step = (code: number, k: number, yes = 0, no = 0): Step => ({ code, k, yes, no });

/** Takes the frame when the words from `at` on are these; goes on behind itself when not. */
function takeWords(at: number, words: readonly number[]): Step[] {
  const size = 2 * words.length + 1;
  return [
    ...words.flatMap((word, i) => [step(LD, at + 4 * i), step(JEQ, word, 0, size - 2 * i - 2)]),
    step(RET, ALL),
  ];
}

/** Runs `steps` when the accumulator is `type`; they end with a return. */
function when(type: number, steps: readonly Step[]): Step[] {
  return [step(JEQ, type, 1, 0), step(JA, steps.length), ...steps];
}

/** The groups that an IPv6 host with these addresses belongs to. */
export function groupsOf(addresses: readonly OwnPrefix[]): Int32Array[] {
  const v6 = addresses.filter(({ family }) => family === 6);
  return v6.length === 0 ? [] : [ALL_NODES, ...v6.map(({ words }) => solicitedNode(words))];
}

/** struct sock_filter, 8 bytes each. VLAN tags are not in the way: the kernel has taken them off. */
export function bpfFilter(addresses: readonly OwnPrefix[]): Uint8Array {
  const v4 = addresses.filter(({ family }) => family === 4);
  const v6 = addresses.filter(({ family }) => family === 6).map(({ words }) => words);
  const program = [
    step(LDH, 12),
    ...(v4.length > 0 ? when(ETHERTYPE_ARP, [step(RET, ALL)]) : []),
    ...when(ETHERTYPE_IPV4, [...v4.flatMap(({ words }) => takeWords(30, [words[3]!])), step(RET, 0)]),
    ...when(ETHERTYPE_IPV6, [
      ...[...v6, ...groupsOf(addresses)].flatMap((words) => takeWords(38, [...words])),
      step(RET, 0),
    ]),
    step(RET, 0),
  ];
  const out = Buffer.alloc(program.length * 8);
  program.forEach(({ code, k, yes, no }, i) => {
    out.writeUInt16LE(code, i * 8);
    out[i * 8 + 2] = yes;
    out[i * 8 + 3] = no;
    out.writeInt32LE(k | 0, i * 8 + 4);
  });
  return out;
}
