/** Programs that expect node:net: http with its agents, https and tls, undici, ws. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import * as http from 'node:http';
import * as https from 'node:https';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import * as tls from 'node:tls';
import t from 'tap';
import { Agent as UndiciAgent, request } from 'undici';
import { WebSocket, WebSocketServer } from 'ws';
import {
  asNetSocket,
  httpAgent,
  httpsAgent,
  serve,
  tlsOver,
  undiciConnector,
} from '../../src/net/adapters.js';
import type { Network } from '../../src/net/network.js';
import type { Server } from '../../src/net/server.js';
import { closed, collect, digest, listen, pair, pattern, SERVER } from './helpers.js';

const body = pattern(300_000, 31);

/** Answers with a large body, echoes what is posted; counts connections. */
async function website(
  network: Network,
): Promise<{ port: number; server: http.Server; listener: Server; connections: () => number }> {
  let count = 0;
  const server = http.createServer((incoming, response) => {
    if (incoming.method === 'POST') incoming.pipe(response);
    else response.end(body);
  });
  server.on('connection', () => count++);
  const listener = serve(network, server);
  const port = await listen(listener, 80);
  return { port, server, listener, connections: () => count };
}

async function get(
  options: https.RequestOptions,
  module: typeof http | typeof https = http,
  data?: Buffer,
): Promise<Buffer> {
  const outgoing = module.request(options);
  outgoing.end(data);
  const [response] = (await once(outgoing, 'response')) as [http.IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** A self-signed certificate for test.example, made by openssl; null without it. */
function certificate(): { key: Buffer; cert: Buffer } | null {
  const folder = mkdtempSync(join(tmpdir(), 'timewait-'));
  try {
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const names = ['-subj', '/CN=test.example', '-addext', 'subjectAltName=DNS:test.example'];
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
    execFileSync('openssl', ['req', '-x509', ...kind, ...names, '-keyout', key, '-out', cert], {
      stdio: 'ignore',
    });
    return { key: readFileSync(key), cert: readFileSync(cert) };
  } catch {
    return null;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const pem = certificate();
const withoutOpenssl = pem === null ? 'needs the program openssl' : false;

void t.test('http: one shot, a connection each', async (t) => {
  const networks = pair();
  const { port, connections } = await website(networks.server);
  const agent = httpAgent(networks.client);
  for (let i = 0; i < 3; i++) {
    const got = await get({ host: SERVER, port, agent, headers: { connection: 'close' } });
    t.equal(digest(got), digest(body));
  }
  t.equal(connections(), 3);
  networks.close();
});

void t.test('http: the keep-alive agent reuses its connection, and posts', async (t) => {
  const networks = pair();
  const { port, connections, listener } = await website(networks.server);
  const agent = httpAgent(networks.client, { keepAlive: true, maxSockets: 1, timeout: 5_000 });
  const answers = await Promise.all(Array.from({ length: 10 }, () => get({ host: SERVER, port, agent })));
  for (const answer of answers) t.equal(digest(answer), digest(body));
  const echoed = await get({ host: SERVER, port, agent, method: 'POST' }, http, body);
  t.equal(digest(echoed), digest(body));
  t.equal(connections(), 1);
  t.equal(Object.values(agent.freeSockets).flat().length, 1);
  // A server that closes ends its idle connections, and the agent drops them.
  const gone = once(listener, 'close');
  const [idle] = Object.values(agent.freeSockets).flat();
  listener.close();
  await Promise.all([gone, closed(idle as never)]);
  t.equal(Object.values(agent.freeSockets).flat().length, 0);
  agent.destroy();
  networks.close();
});

void t.test('http: createConnection as an option, errors reach the request', async (t) => {
  const networks = pair();
  const { port } = await website(networks.server);
  const createConnection = (): ReturnType<typeof asNetSocket> =>
    asNetSocket(networks.client.connect(port, SERVER));
  t.equal(digest(await get({ createConnection, host: SERVER })), digest(body));
  const refused = http.get({ host: SERVER, port: 9, agent: httpAgent(networks.client) });
  const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException];
  t.equal(error.message, `connect ECONNREFUSED ${SERVER}:9`);
  networks.close();
});

void t.test('http: a timeout of the server ends an idle connection', async (t) => {
  const networks = pair();
  const server = http.createServer((_incoming, response) => response.end('ok'));
  server.keepAliveTimeout = 50;
  const port = await listen(serve(networks.server, server));
  const near = networks.client.connect(port, SERVER);
  near.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  t.match((await collect(near)).toString(), /^HTTP\/1.1 200 OK[\s\S]*ok/);
  networks.close();
});

void t.test('https through the agent, names verified', { skip: withoutOpenssl }, async (t) => {
  const networks = pair();
  const server = https.createServer(pem!, (incoming, response) => incoming.pipe(response));
  const port = await listen(serve(networks.server, server));
  const agent = httpsAgent(networks.client, { keepAlive: true });
  const options = { host: SERVER, port, agent, ca: pem!.cert, servername: 'test.example', method: 'POST' };
  for (let i = 0; i < 3; i++) t.equal(digest(await get(options, https, body)), digest(body));
  await t.rejects(get({ ...options, servername: 'other.example' }, https, body), {
    code: 'ERR_TLS_CERT_ALTNAME_INVALID',
  });
  await t.rejects(get({ ...options, port: 9 }, https, body), { code: 'ECONNREFUSED' });
  agent.destroy();
  networks.close();
});

void t.test('tls by hand, both ends ours', { skip: withoutOpenssl }, async (t) => {
  const networks = pair();
  const server = tls.createServer(pem!, (secure) => secure.pipe(secure));
  const port = await listen(serve(networks.server, server));
  const secure = tlsOver(networks.client, { host: SERVER, port, ca: pem!.cert, servername: 'test.example' });
  await once(secure, 'secureConnect');
  t.equal(secure.authorized, true);
  secure.end(body);
  t.equal(digest(await collect(secure)), digest(body));
  const open = (): number => networks.client.sockets().filter((row) => row.state !== 'TIME-WAIT').length;
  while (open() > 0) await sleep(1);
  t.equal(open(), 0, 'the connection below ended, too');
  networks.close();
});

void t.test('undici: requests, pipelined posts, an error', async (t) => {
  const networks = pair();
  const { port, connections } = await website(networks.server);
  const dispatcher = new UndiciAgent({ connect: undiciConnector(networks.client) as never, connections: 2 });
  const origin = `http://${SERVER}:${port}`;
  const answers = await Promise.all(
    Array.from({ length: 8 }, async () => {
      const { statusCode, body: answer } = await request(origin, { dispatcher });
      return [statusCode, digest(Buffer.from(await answer.arrayBuffer()))];
    }),
  );
  for (const answer of answers) t.same(answer, [200, digest(body)]);
  const posted = await request(origin, { dispatcher, method: 'POST', body });
  t.equal(digest(Buffer.from(await posted.body.arrayBuffer())), digest(body));
  t.ok(connections() <= 2, `${connections()} connections`);
  await t.rejects(request(`http://${SERVER}:9`, { dispatcher }), { code: 'ECONNREFUSED' });
  await dispatcher.close();
  networks.close();
});

void t.test('ws: text, binary, ping, close', async (t) => {
  const networks = pair();
  const { port, server } = await website(networks.server);
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket) => {
    socket.on('message', (data, binary) => {
      socket.send(data, { binary });
    });
  });
  const agent = httpAgent(networks.client);
  const client = new WebSocket(`ws://${SERVER}:${port}/`, { agent });
  await once(client, 'open');
  client.send('grüße');
  const [text] = (await once(client, 'message')) as [Buffer];
  t.equal(text.toString(), 'grüße');
  client.send(body);
  const [binary] = (await once(client, 'message')) as [Buffer];
  t.equal(digest(binary), digest(body));
  client.ping();
  await once(client, 'pong');
  client.close(1000, 'done');
  const [code, reason] = (await once(client, 'close')) as [number, Buffer];
  t.same([code, reason.toString()], [1000, 'done']);
  sockets.close();
  networks.close();
});
