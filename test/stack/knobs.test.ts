import t from 'tap';
import fc from 'fast-check';
import { Knobs, knobAliases, knobs, nearest, parseKnobSetting } from '../../src/stack/knobs.js';
import { policies } from '../../src/timewait/policies/registry.js';

void t.test('each knob is complete, and its default lies in its range', (t) => {
  const values = new Knobs();
  for (const knob of knobs) {
    t.ok(knob.min <= knob.default && knob.default <= knob.max, knob.name);
    t.ok(Number.isInteger(knob.min) && Number.isInteger(knob.max) && Number.isInteger(knob.default));
    t.ok(knob.text.length > 10 && !knob.text.includes('\n'), 'one line of text');
    t.match(knob.name, /^[A-Za-z][A-Za-z0-9_.-]+$/);
    t.equal(values.get(knob.name), knob.default);
  }
  t.equal(new Set(knobs.map(({ name }) => name)).size, knobs.length, 'names are unique');
  t.throws(() => new Knobs().get(''), { name: 'RangeError' });
  t.end();
});

void t.test('defaults that users know', (t) => {
  const values = new Knobs();
  t.equal(values.get('net.ipv4.tcp_msl'), 120_000);
  t.equal(values.get('net.inet.tcp.msl'), 30_000);
  t.equal(values.get('net.ipv4.tcp_tw_reuse'), 2);
  t.equal(values.get('net.ipv4.tcp_tw_reuse_delay'), 1000);
  t.equal(values.get('net.ipv4.tcp_tw_recycle'), 0);
  t.equal(values.get('net.ipv4.tcp_tw_timeout'), 60);
  t.equal(values.get('net.ipv4.tcp_fin_timeout'), 60);
  t.equal(values.get('net.ipv4.tcp_rfc1337'), 0);
  t.equal(values.get('net.ipv4.tcp_invalid_ratelimit'), 500);
  t.equal(values.get('net.ipv4.ip_local_port_range.min'), 32768);
  t.equal(values.get('net.ipv4.ip_local_port_range.max'), 60999);
  t.equal(values.get('net.ipv4.tcp_keepalive_time'), 7200);
  t.equal(values.get('net.ipv4.tcp_rto_min'), 200);
  t.end();
});

void t.test('set takes the range, its ends included, and nothing else', (t) => {
  for (const knob of knobs) {
    const values = new Knobs();
    t.equal(values.set(knob.name, knob.min), null);
    t.equal(values.get(knob.name), knob.min);
    t.equal(values.set(knob.name, knob.max), null);
    t.equal(values.get(knob.name), knob.max);
    for (const bad of [knob.min - 1, knob.max + 1, knob.min + 0.5, NaN, Infinity, -Infinity]) {
      const message = values.set(knob.name, bad);
      t.match(message, knob.name);
      t.match(message, String(knob.min));
      t.match(message, String(knob.max));
    }
    t.equal(values.get(knob.name), knob.max, 'a refused value changes nothing');
  }
  t.end();
});

void t.test('an unknown name is answered with the nearest ones', (t) => {
  const values = new Knobs();
  for (const [wrong, right] of [
    ['net.ipv4.tcp_tw_resue', 'net.ipv4.tcp_tw_reuse'],
    ['tcp_tw_recylce', 'net.ipv4.tcp_tw_recycle'],
    ['net.ipv4.tcp_max_tw_bucket', 'net.ipv4.tcp_max_tw_buckets'],
    ['rfc1337', 'net.ipv4.tcp_rfc1337'],
    ['fin_timeout', 'net.ipv4.tcp_fin_timeout'],
  ] as const) {
    const message = values.set(wrong, 1);
    t.ok(message?.startsWith(`unknown knob '${wrong}', nearest: `), String(message));
    t.ok(message?.includes(right), String(message));
  }
  t.throws(() => values.get('net.ipv4.tcp_tw_resue'), { name: 'RangeError', message: /tcp_tw_reuse/ });
  t.end();
});

void t.test('short names and aliases', (t) => {
  const values = new Knobs();
  t.equal(values.set('tcp_tw_reuse', 1), null);
  t.equal(values.get('net.ipv4.tcp_tw_reuse'), 1);
  t.equal(values.set('somaxconn', 7), null);
  t.equal(values.get('net.core.somaxconn'), 7);
  t.end();
});

void t.test(
  'presets: the policy decides unless the user did, and an earlier policy leaves nothing behind',
  (t) => {
    const values = new Knobs();
    values.preset({ 'net.ipv4.tcp_tw_recycle': 1, 'net.ipv4.tcp_tw_reuse': 0 });
    t.equal(values.get('net.ipv4.tcp_tw_recycle'), 1);
    t.equal(values.get('net.ipv4.tcp_tw_reuse'), 0);
    values.set('net.ipv4.tcp_tw_reuse', 1);
    values.set('net.ipv4.tcp_msl', 5000);
    values.preset({ 'net.ipv4.tcp_tw_reuse': 2 });
    t.equal(values.get('net.ipv4.tcp_tw_recycle'), 0, 'back to its default');
    t.equal(values.get('net.ipv4.tcp_tw_reuse'), 1, 'the user set it before');
    t.equal(values.get('net.ipv4.tcp_msl'), 5000);
    values.set('net.ipv4.tcp_tw_recycle', 0);
    values.preset({ 'net.ipv4.tcp_tw_recycle': 1 });
    t.equal(values.get('net.ipv4.tcp_tw_recycle'), 0, 'also when the user set the default');
    t.end();
  },
);

void t.test('what the policies preset exists and is in range', (t) => {
  for (const policy of policies) {
    const values = new Knobs();
    for (const [name, value] of Object.entries(policy.knobs ?? {})) {
      t.ok(
        knobs.some((knob) => knob.name === name),
        `${policy.name}: ${name}`,
      );
      t.equal(values.set(name, value), null);
    }
  }
  t.end();
});

void t.test('KNOB=VALUE', (t) => {
  t.same(parseKnobSetting('net.ipv4.tcp_tw_reuse=1'), [{ name: 'net.ipv4.tcp_tw_reuse', value: 1 }]);
  t.same(parseKnobSetting(' tcp_fin_timeout = 5 '), [{ name: 'net.ipv4.tcp_fin_timeout', value: 5 }]);
  const both = [
    { name: 'net.ipv4.ip_local_port_range.min', value: 40000 },
    { name: 'net.ipv4.ip_local_port_range.max', value: 40010 },
  ];
  for (const text of ['40000 40010', '40000\t40010', '40000,40010', '40000-40010'])
    t.same(parseKnobSetting(`net.ipv4.ip_local_port_range=${text}`), both, text);
  t.same(parseKnobSetting('ip_local_port_range=40000 40010'), both);
  t.same(parseKnobSetting('ip_local_port_range.max=40010'), [both[1]]);
  t.end();
});

void t.test('each wrong setting is one line that names what is wrong and what is allowed', (t) => {
  for (const [text, message] of [
    ['tcp_tw_reuse', /KNOB=VALUE/],
    ['=1', /KNOB=VALUE/],
    ['', /KNOB=VALUE/],
    ['tcp_tw_resue=1', /unknown knob 'tcp_tw_resue', nearest: net\.ipv4\.tcp_tw_reuse/],
    ['tcp_tw_reuse=', /tcp_tw_reuse.*number/],
    ['tcp_tw_reuse=on', /tcp_tw_reuse.*number.*'on'/],
    ['tcp_tw_reuse=3', /tcp_tw_reuse.*0 to 2.*3/],
    ['tcp_tw_reuse=0.5', /integer/],
    ['tcp_msl=0', /1 to 600000 ms/],
    ['ip_local_port_range=40000', /two ports/],
    ['ip_local_port_range=40010 40000', /two ports/],
    ['ip_local_port_range=1 2 3', /two ports/],
    ['ip_local_port_range=a b', /two ports/],
    ['ip_local_port_range=0 70000', /1 to 65535/],
    ['ip_local_port_range=5 70000', /1 to 65535/],
  ] as const) {
    const setting = parseKnobSetting(text);
    const error = 'error' in setting ? setting.error : 'accepted';
    t.match(error, message, text);
    t.notOk(error.includes('\n'));
  }
  t.end();
});

void t.test('whatever is typed, either a setting that the registry takes or an error', (t) => {
  const name = fc.oneof(
    fc.string(),
    fc.constantFrom(...knobs.map((knob) => knob.name), 'ip_local_port_range'),
  );
  const value = fc.oneof(
    fc.string(),
    fc.integer().map(String),
    fc.tuple(fc.nat(70000), fc.nat(70000)).map(String),
  );
  fc.assert(
    fc.property(name, value, (left, right) => {
      const setting = parseKnobSetting(`${left}=${right}`);
      if ('error' in setting) return setting.error.length > 0;
      const values = new Knobs();
      return setting.every((one) => values.set(one.name, one.value) === null);
    }),
    { numRuns: 1000 },
  );
  t.end();
});

void t.test('nearest gives at most three, the best first', (t) => {
  t.same(nearest('abc', ['xyz', 'abd', 'abc']), ['abc', 'abd', 'xyz']);
  t.same(nearest('abc', []), []);
  t.equal(nearest('a', ['b', 'c', 'd', 'e']).length, 3);
  t.end();
});

void t.test('each system says it in its own words and units', (t) => {
  for (const [text, name, value] of [
    ['TcpTimedWaitDelay=30', 'TcpTimedWaitDelay', 30],
    ['TcpTimedWaitDelay=30s', 'TcpTimedWaitDelay', 30],
    ['tcp_fin_timeout=5000ms', 'net.ipv4.tcp_fin_timeout', 5],
    ['net.inet.tcp.msl=15s', 'net.inet.tcp.msl', 15_000],
    ['net.inet.tcp.finwait2_timeout=5000', 'net.ipv4.tcp_fin_timeout', 5],
    ['tcp_fin_wait_2_flush_interval=67500ms', null, 0],
    ['KeepAliveTime=7200000', 'net.ipv4.tcp_keepalive_time', 7200],
    ['MaxUserPort=65534', 'net.ipv4.ip_local_port_range.max', 65_534],
    ['tcp_close_wait_interval=240000', 'tcp_time_wait_interval', 240_000],
  ] as const) {
    const setting = parseKnobSetting(text);
    if (name === null) t.match(setting, { error: /must be an integer from 1 to 86400 s, got 67.5/ }, text);
    else t.same(setting, [{ name, value }], text);
  }
  t.match(parseKnobSetting('tcp_tw_reuse=1s'), { error: /takes a number, got '1s'/ });
  for (const { alias, name } of knobAliases) {
    t.ok(
      knobs.some((knob) => knob.name === name),
      `${alias} stands for a knob`,
    );
    t.notOk(
      knobs.some((knob) => knob.name === alias),
      `${alias} is no knob itself`,
    );
  }
  const values = new Knobs();
  t.equal(values.set('net.inet.tcp.keepidle', 10_000), null);
  t.equal(values.get('net.ipv4.tcp_keepalive_time'), 10);
  t.same([...values.setByUser], ['net.ipv4.tcp_keepalive_time']);
  t.match(
    knobs.find((knob) => knob.name === 'net.ipv4.tcp_fin_timeout')?.text,
    /does NOT shorten TIME-WAIT/,
    'folklore is contradicted where people look',
  );
  t.end();
});
