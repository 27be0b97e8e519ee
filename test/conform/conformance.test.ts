/**
 * The table of test/conformance on our stack: every state, segment and edge under three profiles,
 * with and without timestamps, on both IP versions. On IPv6 the peer's numbers pass 2^31 or 2^32
 * within the window. And the scripts written by hand, which run on the kernel in test/kernel.
 */
import t from 'tap';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { allScripts, edges, events, profiles, states } from '../conformance/generate.js';
import { verdict } from './run.js';

/** The folder of the scripts, wherever the compiled test lies. */
function folder(): string {
  for (let dir = dirname(fileURLToPath(import.meta.url)); dir !== dirname(dir); dir = dirname(dir)) {
    const found = join(dir, 'test', 'conformance');
    if (existsSync(join(found, 'rcv-syn-listen-inside.pkt'))) return found;
  }
  throw new Error('test/conformance not found above the test');
}

const scripts = allScripts();

t.test('the files are what generate.ts writes', async (t) => {
  t.equal(scripts.length, states.length * Object.keys(events).length * edges.length);
  const there = readdirSync(folder())
    .filter((name) => name.startsWith('rcv-'))
    .sort();
  t.same(there, scripts.map(([name]) => name).sort());
  const stale = scripts.filter(([name, text]) => readFileSync(join(folder(), name), 'utf8') !== text);
  t.same(
    stale.map(([name]) => name),
    [],
    'run: node dist/test/conformance/generate.js test/conformance',
  );
});

for (const profile of profiles) {
  for (const version of [4, 6] as const) {
    for (const define of [[], ['timestamps']]) {
      const name = `${profile}, IPv${version}${define.length > 0 ? ', timestamps' : ''}`;
      t.test(name, async (t) => {
        const failed: string[] = [];
        for (const [script, text] of scripts) {
          const peerIss = version === 4 ? 0 : 2 ** (define.length > 0 ? 31 : 32) - 10_500;
          const wrong = await verdict(text, { profile, version, define, peerIss });
          if (wrong !== '') failed.push(`${script}:${wrong}`);
        }
        t.same(failed, [], `${scripts.length} scripts`);
      });
    }
  }
}

const stories = readdirSync(join(folder(), 'scripts')).sort();

for (const profile of profiles)
  for (const version of [4, 6] as const)
    t.test(`scripts of one story each: ${profile}, IPv${version}`, async (t) => {
      for (const name of stories) {
        const text = readFileSync(join(folder(), 'scripts', name), 'utf8');
        t.match(text, /^\/\/ /, 'begins with what it shows');
        t.equal(await verdict(text, { profile, version }), '', name);
      }
    });

t.test('profiles differ: a script of one fails under another', async (t) => {
  const text = scripts.find(([name]) => name === 'rcv-syn-time-wait-inside.pkt')![1];
  const asLinux = text.replace('#ifdef rfc9293', '#ifdef never').replaceAll('#ifdef linux', '#ifndef never');
  t.match(await verdict(asLinux, { profile: 'rfc9293' }), /S\. 65539:65539\(0\) ack 11003/);
});
