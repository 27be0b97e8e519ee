/** Wrong arguments: one line that names the argument and what is allowed, status 2, nothing on standard output. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { folder, timewait } from './helpers.js';

const commands = ['run', 'demo', 'serve', 'connect', 'ss', 'nstat', 'policies', 'knobs', 'hazards', 'pkt'];

const wrong: readonly (readonly [line: string, ...names: RegExp[]])[] = [
  ['', /missing command/, ...commands.map((name) => new RegExp(`\\b${name}\\b`))],
  ['nosuch', /unknown command 'nosuch'/, ...commands.map((name) => new RegExp(`\\b${name}\\b`))],
  ['--nosuch', /--nosuch/],
  ['run', /missing required argument 'command'/],
  ['run --', /missing required argument 'command'/],
  ['run --nosuch -- true', /--nosuch/],
  ['run --http 0 -- true', /--http <port>/, /'0'/, /1 to 65535/],
  ['run --echo 65536 -- true', /--echo <port>/, /1 to 65535/],
  ['run --discard 7x -- true', /--discard <port>/, /1 to 65535/],
  ['run --chargen -1 -- true', /--chargen <port>/, /1 to 65535/],
  ['run --http', /--http <port>/, /missing/],
  ['run --policy linus -- true', /--policy/, /'linus'/, /nearest: .*linux/, /timewait policies/],
  ['run --set tcp_rfc1337 -- true', /--set/, /KNOB=VALUE/],
  ['run --set tcp_rfc1336=1 -- true', /--set/, /tcp_rfc1336/, /net\.ipv4\.tcp_rfc1337/],
  ['run --set tcp_rfc1337=2 -- true', /--set/, /0 to 1/, /2/],
  ['run --faults loss=200% -- true', /--faults/, /loss/, /0%\.\.100%/],
  ['run --faults lose=2% -- true', /--faults/, /lose/, /loss/],
  ['run --http 80 --echo 80 -- true', /--echo 80/, /--http has that port/],
  ['serve --chargen 19 --discard 19', /--chargen 19/, /--discard has/],
  ['demo extra', /too many arguments for 'demo'/],
  ['demo --nosuch', /--nosuch/],
  ['serve extra', /too many arguments for 'serve'/],
  ['serve --address 10.1.1.1', /--address/, /10\.1\.1\.1/, /prefix length/],
  ['serve --address 10.1.1.1/33', /--address/, /prefix length/],
  ['serve --kernel-address zzz/8', /--kernel-address/, /prefix length/],
  ['serve --policy rfc9239', /--policy/, /nearest: .*rfc9293/],
  ['connect', /missing required argument 'host'/],
  ['connect 10.0.0.1', /missing required argument 'port'/],
  ['connect 10.0.0.1 http', /: argument 'port' value 'http' is invalid/, /1 to 65535/],
  [
    'connect 10.0.0.1 9 --local 10.1.1.1/24 --kernel-address 10.1.1.1/8',
    /--local 10\.1\.1\.1\/24/,
    /kernel's side/,
  ],
  ['serve --local fd77::01/64', /--local fd77::01\/64/, /kernel's side/],
  ['run --faults loss=1%, -- true', /--faults/, /KEY=VALUE/, /loss, reorder/],
  ['connect 10.0.0.1 9 9', /too many arguments for 'connect'/],
  ['ss', /--control/, /TIMEWAIT_CONTROL/],
  ['ss -x --control /nowhere', /-x/],
  ['ss --control', /--control <socket>/, /missing/],
  ['ss extra --control /nowhere', /too many arguments for 'ss'/],
  ['nstat', /--control/],
  ['nstat -q --control /nowhere', /-q/],
  ['policies --use freebds', /--use/, /nearest: .*freebsd/],
  ['policies --use bsd', /--use/, /--control/],
  ['policies linux --use bsd --control /tmp/none.sock', /by name/, /--control/, /not both/],
  ['policies linus', /unknown policy 'linus'/, /nearest: .*linux/],
  ['pkt', /missing command, one of: run/],
  ['pkt rn', /unknown command 'rn'/, /timewait pkt are run/],
  ['pkt run', /missing required argument 'path'/, /timewait pkt run/],
  ['pkt run /no/such.pkt', /no such file or directory: '\/no\/such\.pkt'/],
  ['pkt run --target moon x', /--target/, /stack/],
  ['pkt run --profile linus x', /--profile/, /nearest: .*linux/],
  ['pkt run --ip-version 5 x', /--ip-version/, /4, 6/],
  ['pkt run --set tcp_rfc1337=2 x', /--set/, /0 to 1/],
  ['pkt run --nosuch x', /--nosuch/, /--allow-shell/],
  ['hazards extra', /too many arguments for 'hazards'/],
  ['hazards --profile linus', /--profile/, /'linus'/, /linux/],
  ['hazards --hazard gost-data', /--hazard/, /'gost-data'/, /ghost-data/],
  ['hazards --seed x', /--seed/, /0 to 4294967295/],
  ['hazards --jobs 0', /--jobs/, /1 to 256/],
  ['hazards --set tcp_rfc1337=2', /--set/, /0 to 1/],
  ['knobs xyzzy', /no knob has 'xyzzy'/, /nearest: /],
  ['knobs --set x', /--set/, /KNOB=VALUE/],
  ['knobs --set tcp_rfc1337=1', /--set/, /--control/],
];

t.test('wrong arguments', async (t) => {
  for (const [line, ...names] of wrong) {
    const { status, stdout, stderr } = await timewait(line.split(' ').filter((word) => word !== ''));
    t.equal(status, 2, `timewait ${line}`);
    t.equal(stdout, '', 'nothing on standard output');
    t.match(stderr, /^timewait: [^\n]+\n$/, 'one line');
    for (const name of names) t.match(stderr, name);
  }
});

t.test('nobody answers: one line with the cure, status 1', async (t) => {
  const path = '/nonexistent/tw.sock';
  const lines = ['ss', 'ss -s', 'nstat', 'policies', 'knobs', 'connect 10.0.0.1 9'];
  for (const line of lines) {
    const { status, stdout, stderr } = await timewait([...line.split(' '), '--control', path]);
    t.equal(status, 1, line);
    t.equal(stdout, '');
    t.match(stderr, /^timewait: no stack answers at [^\n]+ `timewait serve --control [^\n]+\n$/);
  }
  const named = await timewait(['ss'], { env: { TIMEWAIT_CONTROL: path } });
  t.equal(named.status, 1);
  t.match(named.stderr, path, 'TIMEWAIT_CONTROL stands for --control');
});

t.test(
  'folders to write into: made with what is missing above, else one line that names the option',
  async (t) => {
    const inside = folder(t);
    const script = join(inside, 'empty.pkt');
    writeFileSync(script, '0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n');
    const commands = [
      ['pkt', 'run', script],
      ['hazards', '--profile', 'linux', '--hazard', 'nat-timestamps'],
    ];
    for (const command of commands) {
      // Whoever hangs is ended.
      const ran = (path: string) => timewait([...command, '--pcap', path], { through: ['timeout', '20'] });
      const deep = join(inside, command[0]!, 'b', 'c');
      t.equal((await ran(deep)).status, 0, command.join(' '));
      t.ok(existsSync(deep));
      const nowhere = await ran('/proc/nosuch/x');
      t.equal(nowhere.status, 1);
      t.match(nowhere.stderr, /^timewait: --pcap \/proc\/nosuch\/x: ENOENT[^\n]+\n$/);
      const file = await ran(script);
      t.equal(file.status, 2);
      t.match(file.stderr, /^timewait: --pcap [^\n]+: a file has that name; name a directory\n$/);
    }
  },
);

t.test('--help of each command, with its arguments and --json', async (t) => {
  const whole = await timewait(['--help']);
  t.equal(whole.status, 0);
  for (const name of commands) {
    // What takes arguments is the command below it.
    const path = name === 'pkt' ? ['pkt', 'run'] : [name];
    t.match(whole.stdout, new RegExp(`^ {2}${name} `, 'm'), `${name} is listed`);
    const { status, stdout, stderr } = await timewait([...path, '--help']);
    t.equal(status, 0);
    t.equal(stderr, '');
    t.match(stdout, new RegExp(`^Usage: timewait ${path.join(' ')} `));
    t.match(stdout, /--json/, `${name} takes --json`);
    t.notMatch(stdout, /default: [[{]/, 'defaults are words');
  }
});

t.test('--version: that of the package, at once', async (t) => {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  let fastest = Infinity;
  for (let i = 0; i < 5; i++) {
    const started = performance.now();
    const { status, stdout } = await timewait(['--version']);
    fastest = Math.min(fastest, performance.now() - started);
    t.equal(status, 0);
    t.equal(stdout.trim(), (JSON.parse(text) as { version: string }).version);
  }
  // 90 ms where bare Node takes 50 (measured); the rest is for machines that are slow or busy.
  t.ok(fastest < 1000, `${Math.round(fastest)} ms`);
});
