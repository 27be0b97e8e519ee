/** Workers that fail: whoever asked learns why, the others end with them, and the device goes. */
import { once } from 'node:events';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { Workers, type WorkersOptions } from '../../src/workers/workers.js';
import type { Way } from '../workers/failing.js';
import { deviceExists, inNamespace } from './namespace.js';

const program = new URL('../workers/failing.js', import.meta.url);

function start(way: Way, options: Partial<WorkersOptions> = {}): Promise<Workers> {
  return Workers.start({ workers: 2, program, data: way, device: 'twf0', ...options });
}

async function running(t: Test, options: Partial<WorkersOptions> = {}): Promise<Workers> {
  const workers = await start('never', options);
  t.teardown(() => workers.close());
  return workers;
}

if (inNamespace(t, import.meta.url)) {
  void t.test('a program that fails at its start: its error, and no device', async (t) => {
    const error = await start('start').catch((reason: unknown) => reason as Error);
    t.match(error, { name: 'TypeError', message: 'not today', code: 'ERR_TODAY', details: ['nor tomorrow'] });
    t.match((error as Error).stack, /failing\.[jt]s:/, 'and where');
    t.notOk(deviceExists('twf0'));
  });

  void t.test('what is no program is said to be none', async (t) => {
    await t.rejects(start('nothing'), { message: /failing\.js: the default export returned no network$/ });
    await t.rejects(start('never', { program: new URL('./namespace.js', import.meta.url) }), {
      message: /namespace\.js: the default export is no function$/,
    });
    await t.rejects(start('never', { program: './no-such-module.js' }), { code: 'ERR_MODULE_NOT_FOUND' });
    await t.rejects(start('never', { data: () => undefined }), { name: 'DataCloneError' });
    await t.rejects(start('never', { mtu: 10 }), { name: 'RangeError', message: /^mtu must be/ });
    await t.rejects(start('never', { prepare: () => Promise.reject(new Error('no address')) }), /no address/);
    t.notOk(deviceExists('twf0'));
  });

  void t.test('a path is one from the working directory on', async (t) => {
    const workers = await running(t, { program: relative(process.cwd(), fileURLToPath(program)) });
    t.same(await workers.ask('who'), [0, 1]);
  });

  void t.test('a question that fails harms nobody', async (t) => {
    const workers = await running(t);
    await t.rejects(workers.ask('throw'), { name: 'RangeError', message: 'no such thing' });
    await t.rejects(workers.ask('function'), { name: 'DataCloneError' });
    await t.rejects(
      workers.ask(() => undefined),
      { name: 'DataCloneError' },
    );
    t.same(await workers.ask('who'), [0, 1]);
  });

  void t.test('a worker that ends takes the others with it', async (t) => {
    for (const [way, message] of [
      ['exit', 'worker 1 of 2 ended'],
      ['later', 'out of the blue'],
    ] as const) {
      const workers = await running(t);
      const never = workers.ask('never').catch((error: unknown) => (error as Error).message);
      const failed = once(workers, 'error') as Promise<[Error]>;
      await workers.ask(way).catch(() => undefined);
      const [error] = await failed;
      t.equal(error.message, message);
      t.equal(await never, message, 'whoever waits hears of it');
      await t.rejects(workers.ask('who'), { message: 'the workers have ended' });
      await workers.close();
      t.notOk(deviceExists('twf0'));
    }
  });

  void t.test('closed: what was asked and not answered is refused', async (t) => {
    const workers = await running(t);
    const never = workers.ask('never').catch((error: unknown) => (error as Error).message);
    await workers.close();
    t.equal(await never, 'the workers were closed');
    await workers.close();
    t.notOk(deviceExists('twf0'));
  });
}
