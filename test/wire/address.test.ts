import t from 'tap';
import fc from 'fast-check';
import { isIPv4, isIPv6 } from 'node:net';
import {
  formatWords,
  isBroadcastV4,
  isLoopback,
  isMapped,
  isMulticast,
  isUnspecified,
  parseAddress,
  parsePrefix,
} from '../../src/wire/address.js';

type Words = [number, number, number, number];

function words(text: string): Words {
  const address = parseAddress(text);
  if (address === null) throw new Error(`no address: ${text}`);
  return [...address.words] as Words;
}

/** What a URL makes of an IPv6 address: the same shortest form as RFC 5952. */
function urlForm(groups: readonly number[]): string {
  return new URL(`http://[${groups.map((g) => g.toString(16)).join(':')}]/`).hostname.slice(1, -1);
}

const group = fc.oneof(fc.constant(0), fc.nat(0xffff));

t.test('IPv6 is written as RFC 5952 says, and read back', async (t) => {
  fc.assert(
    fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (g) => {
      const w = [0, 2, 4, 6].map((i) => (g[i]! << 16) | g[i + 1]!) as Words;
      if (isMapped(w[0], w[1], w[2])) return true;
      const text = formatWords(...w);
      return text === urlForm(g) && words(text).join() === w.join() && parseAddress(text)?.family === 6;
    }),
    { numRuns: 3000 },
  );
  t.equal(formatWords(0x20010db8, 0, 0x00010000, 0x00000001), '2001:db8::1:0:0:1', 'the first of equal runs');
  t.equal(
    formatWords(0x20010db8, 0x00000001, 0x00010001, 0x00010001),
    '2001:db8:0:1:1:1:1:1',
    'not a single zero',
  );
  t.equal(formatWords(0, 0, 0, 0x7f000001), '::7f00:1', 'only mapped addresses are dotted');
});

t.test('IPv4 is held mapped and written dotted', async (t) => {
  fc.assert(
    fc.property(fc.integer(), (w3) => {
      const text = formatWords(0, 0, 0xffff, w3);
      const address = parseAddress(text);
      return isIPv4(text) && address?.family === 4 && String(address) === text && words(text)[3] === w3;
    }),
  );
  t.same(words('10.77.0.2'), [0, 0, 0xffff, 0x0a4d0002]);
  t.same(words('255.255.255.255'), [0, 0, 0xffff, -1]);
  t.equal(parseAddress('::ffff:10.77.0.2')?.family, 4, 'the mapped spelling is the IPv4 address');
  t.equal(parseAddress('::FFFF:a4d:2')?.toString(), '10.77.0.2');
});

t.test('what Node takes for an address we take, and nothing else; zones excepted', async (t) => {
  const alphabet = fc.constantFrom(...'0123456789abcdefF:::...'.split(''));
  const texts = fc.oneof(
    fc.string({ unit: alphabet, maxLength: 24 }),
    fc.ipV4(),
    fc.ipV4Extended(),
    fc.ipV6(),
    fc.tuple(fc.ipV6(), fc.nat(30), fc.string({ unit: alphabet, maxLength: 2 })).map(([a, at, s]) => {
      return a.slice(0, at) + s + a.slice(at + 1);
    }),
  );
  fc.assert(
    fc.property(texts, (text) => (parseAddress(text) !== null) === (isIPv4(text) || isIPv6(text))),
    { numRuns: 10_000 },
  );
  for (const text of [
    'fe80::1%eth0',
    '::1%1',
    '[::1]',
    ' 1.2.3.4',
    '1.2.3.4 ',
    '1',
    '0x7f.1.1.1',
    'localhost',
  ]) {
    t.equal(parseAddress(text), null, JSON.stringify(text));
  }
  for (const text of ['010.1.1.1', '1.2.3.04', '::ffff:010.1.1.1', '64:ff9b::01.2.3.4']) {
    t.equal(parseAddress(text), null, `${text}: octal or decimal, nobody knows`);
  }
});

t.test('an IPv4 address at the end of an IPv6 address', async (t) => {
  t.equal(parseAddress('64:ff9b::1.2.3.4')?.toString(), '64:ff9b::102:304');
  const compatible = parseAddress('::1.2.3.4');
  t.equal(compatible?.family, 6, 'RFC 4291 2.5.5.1: compatible is not mapped');
  t.same([...(compatible?.words ?? [])], [0, 0, 0, 0x01020304]);
});

t.test('more texts than are remembered: each is read right, before and after', async (t) => {
  const texts = Array.from({ length: 1000 }, (_, i) => `10.1.${i >> 8}.${i & 255}`);
  for (let round = 0; round < 2; round++) for (const text of texts) t.equal(String(parseAddress(text)), text);
  t.equal(parseAddress('10.1.0.256'), null);
  t.equal(parseAddress('10.1.0.256'), null, 'what is no address is none when asked again');
});

t.test('prefixes', async (t) => {
  for (const [text, address, prefix] of [
    ['10.77.0.2/24', '10.77.0.2', 24],
    ['10.77.0.2/0', '10.77.0.2', 0],
    ['10.77.0.2/32', '10.77.0.2', 32],
    ['10.77.0.2', '10.77.0.2', 32],
    ['fd77::2/64', 'fd77::2', 64],
    ['fd77::2/128', 'fd77::2', 128],
    ['fd77::2', 'fd77::2', 128],
  ] as const) {
    const parsed = parsePrefix(text);
    t.equal(parsed?.prefix, prefix, text);
    t.equal(String(parsed?.address), address, text);
  }
  for (const text of [
    '10.0.0.1/33',
    'fd77::2/129',
    '10.0.0.1/',
    '10.0.0.1/-1',
    '10.0.0.1/2e1',
    '10.0.0.1/24/8',
    '/24',
    '',
  ]) {
    t.equal(parsePrefix(text), null, JSON.stringify(text));
  }
});

t.test('classes of addresses, with their neighbours', async (t) => {
  const classes = { isUnspecified, isMulticast, isBroadcastV4, isLoopback };
  const cases: [string, keyof typeof classes | null][] = [
    ['0.0.0.0', 'isUnspecified'],
    ['0.0.0.1', null],
    ['::', 'isUnspecified'],
    ['::2', null],
    ['1::', null],
    ['223.255.255.255', null],
    ['224.0.0.0', 'isMulticast'],
    ['239.255.255.255', 'isMulticast'],
    ['240.0.0.0', 'isBroadcastV4'],
    ['255.255.255.255', 'isBroadcastV4'],
    ['ff02::1', 'isMulticast'],
    ['ffff:ffff::', 'isMulticast'],
    ['feff::', null],
    ['e000::', null],
    ['126.255.255.255', null],
    ['127.0.0.0', 'isLoopback'],
    ['127.255.255.255', 'isLoopback'],
    ['128.0.0.0', null],
    ['::1', 'isLoopback'],
    ['1::1', null],
    ['7f00::', null],
  ];
  for (const [text, expected] of cases) {
    const found = Object.entries(classes).flatMap(([name, test]) => (test(...words(text)) ? [name] : []));
    t.same(found, expected === null ? [] : [expected], text);
  }
});
