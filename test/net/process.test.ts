/** What keeps a process alive: open sockets and servers that are ref'ed, and data not delivered yet. */
import { spawn } from 'node:child_process';
import t from 'tap';

const helpers = new URL('./helpers.js', import.meta.url).href;

/** Runs a module's text in a process of its own; its exit code (null when it had to be killed), output, and ms. */
async function run(body: string, limit = 20_000): Promise<{ code: number | null; out: string; ms: number }> {
  const text = `import { pair, connected, listen, SERVER } from '${helpers}';
    import { once } from 'node:events';
    const networks = pair();
    ${body}`;
  const started = performance.now();
  const child = spawn(process.execPath, ['--input-type=module', '-e', text], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let out = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  const timer = setTimeout(() => child.kill('SIGKILL'), limit);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  clearTimeout(timer);
  return { code, out, ms: performance.now() - started };
}

void t.test('an idle network does not keep the process alive', async (t) => {
  t.equal((await run('')).code, 0);
});

void t.test('neither do TIME-WAIT records', async (t) => {
  const { code, out } = await run(`
    const { near, far, server } = await connected(networks);
    server.close();
    far.resume();
    near.end();
    await once(near, 'close');
    console.log(networks.client.timeWait.list().length);`);
  t.same([code, out], [0, '1\n']);
});

void t.test('an open socket does', async (t) => {
  const { code } = await run('await connected(networks);', 1_200);
  t.equal(code, null);
});

void t.test('a listening server does, an unref of it ends that', async (t) => {
  t.equal((await run('networks.server.createServer().listen(80);', 1_200)).code, null);
  t.equal((await run('networks.server.createServer().listen(80).unref();')).code, 0);
});

void t.test('a connect that is pending does', async (t) => {
  t.equal((await run("networks.client.connect(80, '10.77.0.99').on('error', () => {});", 1_200)).code, null);
});

void t.test('unref of both ends lets the process end, ref holds it again', async (t) => {
  const both =
    'const { near, far, server } = await connected(networks); server.close(); near.unref(); far.unref();';
  t.equal((await run(both)).code, 0);
  t.equal((await run(`${both} near.ref();`, 1_200)).code, null);
});

void t.test('an inactivity timeout alone does not', async (t) => {
  const { code, ms } = await run(`
    const { near, far, server } = await connected(networks);
    server.close(); near.unref(); far.unref(); near.setTimeout(60_000);`);
  t.equal(code, 0);
  t.ok(ms < 20_000, 'not for the minute of the timeout');
});

void t.test('what was written last is delivered before the process ends', async (t) => {
  const { code, out } = await run(`
    const { near, far, server } = await connected(networks, { server: { allowHalfOpen: true } });
    server.close();
    let bytes = 0;
    far.on('data', (chunk) => { bytes += chunk.length; });
    far.on('end', () => { console.log(bytes); far.destroy(); });
    // Nothing but the data itself keeps the process.
    far.unref();
    near.unref();
    near.end(Buffer.alloc(200_000), () => near.destroy());`);
  t.same([code, out], [0, '200000\n']);
});
