/**
 * Old data in a new connection: what TIME-WAIT is for (RFC 9293 3.4.3, purpose 1).
 *
 * Both generators start every incarnation of a tuple at the same sequence number, so
 * old and new sequence spaces overlap fully and only TIME-WAIT decides. One data segment of the old connection is delayed on its way (its retransmission arrives,
 * the delayed one is the ghost); some time after the close the client opens the same
 * tuple again. When it gets in, the ghost is let go.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import type { Host } from '../../sim/host.js';
import type { SimSocket } from '../../sim/socket.js';
import type { Held, Wire } from '../../sim/wire.js';
import { ACK, RST } from '../../wire/segment.js';
import { corrupts, refuses, safe, type Hazard, type Outcome } from './hazard.js';
import { FIXED, SERVER, SERVICE, type Stage } from './stage.js';

/** Seconds after the close at which the client comes again; a segment lives 120 s at most (RFC 9293 3.4.3). */
const MOMENTS = [0.5, 5, 20, 45, 90, 119] as const;
const OLD = 'o';
const NEW = 'n';
/** Bytes of each connection; the ghost is the second of three segments. */
const SIZE = 3000;

interface Play {
  readonly timestamps: boolean;
  /** The challenge ACK reaches the client, whose RST then reaches the server. */
  readonly refusalPasses: boolean;
  /** Records are sealed as TLS does; the key is new for each connection. */
  readonly sealed?: boolean;
  /** The host under test has the ISN generator of its profile. */
  readonly ownIsn?: boolean;
}

/** Knob net.ipv4.tcp_isn: every incarnation of a tuple starts at the same number. */
const ISN_NO_CLOCK = 4;

interface Seen {
  /** The new connection came up. */
  readonly accepted: boolean;
  /** Old bytes among what the server's program took for the new connection's. */
  readonly ghosts: number;
  /** The program found the stream broken (a bad record MAC). */
  readonly broken: boolean;
}

function fill(letter: string, bytes: number): Uint8Array {
  return new Uint8Array(bytes).fill(letter.charCodeAt(0));
}

/** One play: the client comes back after `seconds`. */
function play(
  stage: Stage,
  seconds: number,
  { timestamps, refusalPasses, sealed = false, ownIsn = false }: Play,
): Seen {
  const server = stage.subject(ownIsn ? {} : { knobs: { 'net.ipv4.tcp_isn': ISN_NO_CLOCK } });
  const knobs = { 'net.ipv4.tcp_isn': ISN_NO_CLOCK, 'net.ipv4.tcp_timestamps': timestamps ? 1 : 0 };
  const client = stage.other('client', { knobs });
  const wire = stage.net.wire(client, server, { delay: 5 });
  const received: Uint8Array[][] = [];
  server.listen({ port: SERVICE, reuseAddress: true }, (socket) => {
    const chunks: Uint8Array[] = [];
    received.push(chunks);
    const number = received.length;
    let bytes = 0;
    socket.onData = (data) => {
      chunks.push(data.slice());
      bytes += data.length;
      if (number === 1 && bytes >= SIZE + sealedExtra(sealed)) socket.close();
    };
  });
  // The second data segment of the old connection is delayed; what repeats it is not.
  let data = 0;
  const ghost = wire.hold(
    (segment, from) => from === 'client' && segment.payloadLength > 0 && ++data === 2,
    1,
  );
  const first = connect(client);
  if (typeof first === 'string') throw new Error(`connect: ${first}`);
  first.onConnect = () => void first.write(seal(fill(OLD, SIZE), 1, sealed));
  first.onEnd = () => first.close();
  stage.runUntil(() => first.closed, 30_000);
  stage.run(1000 * seconds);
  if (!refusalPasses) dropRefusals(wire, client);
  const second = connect(client);
  if (typeof second === 'string') return { accepted: false, ghosts: 0, broken: false };
  stage.runUntil(() => second.connected || second.closed, 2900);
  if (!second.connected) {
    second.abort();
    return { accepted: false, ghosts: 0, broken: false };
  }
  return release(stage, ghost, second, received, sealed);
}

function connect(client: Host): SimSocket | string {
  return client.connect({ address: SERVER, port: SERVICE, localPort: FIXED, reuseAddress: true });
}

/** A bare ACK that answers the SYN is lost, and so is any RST of the client: a stateful box on the way. */
function dropRefusals(wire: Wire, client: Host): void {
  wire.lose(({ flags }, from) => {
    const opening = client.stack.stateCounts()['SYN-SENT'] === 1;
    if (from === 'client') return opening && (flags & RST) !== 0;
    return opening && flags === ACK;
  });
}

/** The ghost arrives first, then what the new connection has to say. */
function release(
  stage: Stage,
  ghost: Held,
  socket: SimSocket,
  received: readonly Uint8Array[][],
  sealed: boolean,
): Seen {
  const plain = fill(NEW, SIZE);
  const text = seal(plain, 2, sealed);
  socket.write(text.subarray(0, 100));
  stage.run(50);
  ghost.release();
  stage.run(50);
  socket.write(text.subarray(100));
  stage.run(5000);
  const stream = Buffer.concat(received[1] ?? []);
  if (sealed) {
    const opened_ = unseal(stream, 2);
    return { accepted: true, ghosts: 0, broken: opened_ === null };
  }
  const ghosts = stream.filter((byte) => byte === OLD.charCodeAt(0)).length;
  return { accepted: true, ghosts, broken: false };
}

// ---- a record layer as TLS 1.3 has it: AES-128-GCM, a key per connection --------------

const TAG = 16;

function sealedExtra(sealed: boolean): number {
  return sealed ? TAG : 0;
}

function key(connection: number): Buffer {
  return Buffer.alloc(16, connection);
}

function seal(plain: Uint8Array, connection: number, sealed: boolean): Uint8Array {
  if (!sealed) return plain;
  const cipher = createCipheriv('aes-128-gcm', key(connection), Buffer.alloc(12));
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** null: bad record MAC, or not whole. */
function unseal(stream: Buffer, connection: number): Buffer | null {
  if (stream.length < SIZE + TAG) return null;
  const decipher = createDecipheriv('aes-128-gcm', key(connection), Buffer.alloc(12));
  decipher.setAuthTag(stream.subarray(SIZE, SIZE + TAG));
  try {
    return Buffer.concat([decipher.update(stream.subarray(0, SIZE)), decipher.final()]);
  } catch {
    return null;
  }
}

/** Comes back at each of the moments; the first that goes wrong decides. */
function sweep(stage: Stage, options: Play): Outcome {
  let refused = 0;
  for (const seconds of MOMENTS) {
    const each = stage.again();
    const seen = play(each, seconds, options);
    stage.adopt(each);
    const reason =
      stage.reason(/^(tw-(syn|rst)|recycle|listen)/) || stage.reason(/^tw-(expired|none|evicted)/);
    if (seen.ghosts > 0)
      return corrupts(
        seen.ghosts,
        `the tuple opened again after ${seconds} s took ${seen.ghosts} old bytes`,
        reason,
      );
    if (seen.broken)
      return refuses(
        `after ${seconds} s the ghost broke the stream: bad record MAC, the session is lost`,
        reason,
        0.5,
      );
    if (!seen.accepted) refused++;
  }
  const tried = MOMENTS.length;
  const how =
    refused === tried
      ? 'refused every time'
      : refused === 0
        ? 'accepted every time, the ghost never'
        : `refused ${refused} of ${tried} times, and accepted without the ghost`;
  return safe(
    `opened again ${MOMENTS.join(', ')} s after the close: ${how}`,
    stage.reason(/^(tw-(syn|rst|paws)|paws)/),
  );
}

const COMMON =
  'The old incarnation of a tuple leaves one data segment behind on the wire; the client comes back 0.5, 5, 20, 45, 90 and 119 s after the close; if it gets in, the old segment arrives. The sequence numbers of both ends start alike every time: the worst case, in which only TIME-WAIT decides. Corrupt: the program is handed old bytes.';

export const ghosts: readonly Hazard[] = [
  {
    name: 'ghost-data',
    title: 'ghost data in a new incarnation, no timestamps',
    axis: 'integrity',
    text: `${COMMON} Answers to a refused SYN are lost on the way (a stateful middlebox), so only the rule for SYNs is measured.`,
    claims: [8, 9, 12, 13, 47],
    play: (stage) => sweep(stage, { timestamps: false, refusalPasses: false }),
  },
  {
    name: 'ghost-after-refusal',
    title: "the same when the refused client's RST gets through",
    axis: 'integrity',
    text: `${COMMON} The client answers the refusal with RST, as every TCP in SYN-SENT must, and repeats its SYN a second later.`,
    claims: [12, 15, 18, 52],
    play: (stage) => sweep(stage, { timestamps: false, refusalPasses: true }),
  },
  {
    name: 'ghost-data-own-isn',
    title: "the same with the profile's own ISN generator",
    axis: 'integrity',
    text: 'As ghost-after-refusal, but the host under test chooses its own sequence numbers: an old segment acknowledges what the new connection never sent, and RFC 5961 5 drops it unless the numbers happen to be near.',
    claims: [13],
    play: (stage) => sweep(stage, { timestamps: false, refusalPasses: true, ownIsn: true }),
  },
  {
    name: 'ghost-data-timestamps',
    title: 'ghost data in a new incarnation, client with timestamps',
    axis: 'integrity',
    text: `${COMMON} The client offers timestamps; where the profile speaks them PAWS guards the new connection.`,
    claims: [12, 16, 43],
    play: (stage) => sweep(stage, { timestamps: true, refusalPasses: true }),
  },
  {
    name: 'ghost-data-tls',
    title: 'ghost data under a TLS record layer, no timestamps',
    axis: 'availability',
    text: `${COMMON} Both ends seal their records with a key of the connection (AES-128-GCM): old bytes are found out, at the price of the session.`,
    claims: [16],
    play: (stage) => sweep(stage, { timestamps: false, refusalPasses: true, sealed: true }),
  },
  {
    name: 'older-than-2msl',
    title: 'a segment that outlives TIME-WAIT, no timestamps',
    axis: 'integrity',
    text: 'The delayed segment arrives a second after TIME-WAIT is over, in a new incarnation whose sequence numbers start alike. No length of TIME-WAIT helps against a segment older than itself.',
    claims: [4, 16, 64],
    play: (stage) => outlives(stage, false),
  },
  {
    name: 'older-than-2msl-timestamps',
    title: 'the same, client with timestamps',
    axis: 'integrity',
    text: 'As before, with timestamps offered: PAWS (RFC 7323 5) is what is left.',
    claims: [16, 43],
    play: (stage) => outlives(stage, true),
  },
];

function outlives(stage: Stage, timestamps: boolean): Outcome {
  const length = stage.timeWaitLength({ 'net.ipv4.tcp_timestamps': timestamps ? 1 : 0 });
  const seconds = length / 1000 + 1;
  const seen = play(stage, seconds, { timestamps, refusalPasses: true });
  const age = Math.round(seconds);
  if (seen.ghosts > 0)
    return corrupts(
      seen.ghosts,
      `a segment ${age} s old was delivered: ${seen.ghosts} bytes`,
      stage.reason(/^tw-(expired|none|rst|syn)/),
    );
  const reason = stage.reason(/^(paws|recycle|tw-)/);
  return safe(
    seen.accepted
      ? `a segment ${age} s old was dropped by the new connection`
      : 'the new connection was refused',
    reason,
  );
}
