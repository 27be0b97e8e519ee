/**
 * Programs that expect node:net, over our sockets, against the same programs over
 * the kernel's: http with a keep-alive agent, undici, ws, tls; and nginx as server.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import * as http from 'node:http';
import * as net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tls from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { Agent as UndiciAgent, request as undiciRequest } from 'undici';
import { WebSocket, WebSocketServer } from 'ws';
import { TunLink } from '../../src/link/tun.js';
import { bringUp, which } from '../../src/lab/namespace.js';
import { asNetSocket, httpAgent, serve, tlsOver, undiciConnector } from '../../src/net/adapters.js';
import { createNetwork, type Network } from '../../src/net/network.js';
import { inNamespace } from '../native/namespace.js';

const KERNEL = '10.77.0.1';
const STACK = '10.77.0.2';
const body = Buffer.alloc(300_000, 'timewait ');
const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

function network(): Network {
  const link = TunLink.open({ name: 'tw0' });
  bringUp(link.name, [`${KERNEL}/24`, 'fd77::1/64']);
  return createNetwork({ stack: { addresses: [`${STACK}/24`, 'fd77::2/64'] }, link });
}

/** An http server on either side: large body on GET, echo of a POST. */
function website(): http.Server {
  return http.createServer((incoming, response) => {
    if (incoming.method === 'POST') incoming.pipe(response);
    else response.end(body);
  });
}

async function get(options: http.RequestOptions, data?: Buffer): Promise<Buffer> {
  const outgoing = http.request(options);
  outgoing.end(data);
  const [response] = (await once(outgoing, 'response')) as [http.IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

interface Listening {
  listen(options: { port: number; host: string }, done: () => void): unknown;
}

async function listen(server: Listening, port: number, host: string): Promise<void> {
  await new Promise<void>((resolve) => server.listen({ port, host }, resolve));
}

function certificate(): { key: Buffer; cert: Buffer } | null {
  if (which('openssl') === null) return null;
  const folder = mkdtempSync(join(tmpdir(), 'timewait-'));
  try {
    const files = ['-keyout', join(folder, 'key'), '-out', join(folder, 'cert')];
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
    execFileSync('openssl', ['req', '-x509', ...kind, '-subj', '/CN=test.example', ...files], {
      stdio: 'ignore',
    });
    return { key: readFileSync(join(folder, 'key')), cert: readFileSync(join(folder, 'cert')) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (inNamespace(t, import.meta.url)) {
  const ours = network();
  const side = ours;
  t.teardown(() => ours.close());

  void t.test('node:http, our server and the kernel as client', async (t) => {
    let connections = 0;
    const server = website();
    server.on('connection', () => connections++);
    const listener = serve(side, server);
    await listen(listener as unknown as Listening, 80, STACK);
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    for (let i = 0; i < 20; i++) t.equal(sha(await get({ host: STACK, port: 80, agent })), sha(body));
    t.ok((await get({ host: STACK, port: 80, agent, method: 'POST' }, body)).equals(body), 'POST comes back');
    t.equal(connections, 1, 'keep-alive: one connection for all requests');
    agent.destroy();
    listener.close();
  });

  void t.test('node:http, the kernel as server and our client', async (t) => {
    let connections = 0;
    const server = website();
    server.on('connection', () => connections++);
    await listen(server, 8080, KERNEL);
    const agent = httpAgent(side, { keepAlive: true, maxSockets: 1 });
    for (let i = 0; i < 20; i++) t.equal(sha(await get({ host: KERNEL, port: 8080, agent })), sha(body));
    t.ok(
      (await get({ host: KERNEL, port: 8080, agent, method: 'POST' }, body)).equals(body),
      'POST comes back',
    );
    t.equal(connections, 1, 'keep-alive agent: one connection for all requests');
    agent.destroy();
    server.close();
  });

  void t.test('undici over our sockets to the kernel', async (t) => {
    const server = website();
    await listen(server, 8081, KERNEL);
    const dispatcher = new UndiciAgent({ connect: undiciConnector(side) as never });
    for (let i = 0; i < 20; i++) {
      const answer = await undiciRequest(`http://${KERNEL}:8081/`, { dispatcher });
      t.equal(sha(Buffer.from(await answer.body.arrayBuffer())), sha(body));
    }
    await dispatcher.close();
    server.close();
  });

  void t.test('undici over the kernel to our server', async (t) => {
    const listener = serve(side, website());
    await listen(listener as unknown as Listening, 81, STACK);
    const answers = Array.from({ length: 20 }, async () => {
      const answer = await undiciRequest(`http://${STACK}:81/`);
      return sha(Buffer.from(await answer.body.arrayBuffer()));
    });
    for (const answer of await Promise.all(answers)) t.equal(answer, sha(body));
    listener.close();
  });

  void t.test('ws, both ways', async (t) => {
    const exchange = async (client: WebSocket): Promise<void> => {
      await once(client, 'open');
      client.send(body);
      const [message] = (await once(client, 'message')) as [Buffer];
      t.ok(message.equals(body), 'a large message comes back');
      client.close(1000, 'done');
      const [code] = (await once(client, 'close')) as [number];
      t.equal(code, 1000);
    };
    const echo = (server: http.Server): void => {
      new WebSocketServer({ server }).on('connection', (socket) =>
        socket.on('message', (data) => socket.send(data)),
      );
    };
    const ourHttp = http.createServer();
    echo(ourHttp);
    const listener = serve(side, ourHttp);
    await listen(listener as unknown as Listening, 82, STACK);
    await exchange(new WebSocket(`ws://${STACK}:82/`));
    const theirs = http.createServer();
    echo(theirs);
    await listen(theirs, 8082, KERNEL);
    const createConnection = (() => asNetSocket(side.connect({ host: KERNEL, port: 8082 }))) as never;
    await exchange(new WebSocket(`ws://${KERNEL}:8082/`, { createConnection }));
    listener.close();
    theirs.close();
  });

  const pem = certificate();
  void t.test('tls, both ways', { skip: pem === null ? 'openssl is not installed' : false }, async (t) => {
    const exchange = async (client: tls.TLSSocket): Promise<void> => {
      await once(client, 'secureConnect');
      client.end(body);
      const chunks: Buffer[] = [];
      for await (const chunk of client) chunks.push(chunk as Buffer);
      t.ok(Buffer.concat(chunks).equals(body), 'all bytes come back, then the end');
    };
    const echo = (): tls.Server =>
      tls.createServer({ ...pem!, allowHalfOpen: true }, (socket) => socket.pipe(socket));
    const ourServer = serve(side, echo());
    await listen(ourServer as unknown as Listening, 443, STACK);
    await exchange(
      tls.connect({
        host: STACK,
        port: 443,
        rejectUnauthorized: false,
        allowHalfOpen: true,
      } as tls.ConnectionOptions),
    );
    const theirs = echo();
    await listen(theirs, 8443, KERNEL);
    await exchange(tlsOver(side, { host: KERNEL, port: 8443, rejectUnauthorized: false }));
    ourServer.close();
    theirs.close();
  });

  const nginx = which('nginx');
  void t.test(
    '1,000 requests of our client to nginx',
    { skip: nginx === null ? 'nginx is not installed: apt-get install nginx-light' : false },
    async (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'timewait-'));
      mkdirSync(join(folder, 'www'));
      writeFileSync(join(folder, 'www', 'index.html'), body);
      writeFileSync(join(folder, 'nginx.conf'), nginxConfiguration(folder));
      const server = spawn(nginx!, ['-c', join(folder, 'nginx.conf'), '-p', folder], { stdio: 'ignore' });
      t.teardown(() => {
        server.kill();
        rmSync(folder, { recursive: true, force: true });
      });
      await reachable(8090);
      const agent = httpAgent(side, { keepAlive: false, maxSockets: 16 });
      const wanted = sha(body);
      let good = 0;
      const requests = Array.from({ length: 1000 }, async () => {
        if (sha(await get({ host: KERNEL, port: 8090, agent })) === wanted) good++;
      });
      await Promise.all(requests);
      t.equal(good, 1000, 'a connection each, every byte right');
      agent.destroy();
    },
  );
}

function nginxConfiguration(folder: string): string {
  const root = process.getuid?.() === 0 ? 'user root;' : '';
  return `${root} daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log;
events { worker_connections 512; }
http { access_log off; client_body_temp_path ${folder}/a; proxy_temp_path ${folder}/b; fastcgi_temp_path ${folder}/c;
  uwsgi_temp_path ${folder}/d; scgi_temp_path ${folder}/e;
  server { listen ${KERNEL}:8090; root ${folder}/www; } }`;
}

async function reachable(port: number): Promise<void> {
  for (let i = 0; i < 100; i++) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = net.connect({ host: KERNEL, port });
      socket.once('connect', () => socket.destroy());
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    if (open) return;
    await sleep(50);
  }
  throw new Error(
    `nothing listens on port ${port}: ${spawnSync('nginx', ['-v'], { encoding: 'utf8' }).stderr}`,
  );
}
