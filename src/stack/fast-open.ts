/**
 * TCP Fast Open (RFC 7413) on SYNs: when a server takes text with a SYN, what a client's SYN
 * carries, and what its answer teaches. Knob net.ipv4.tcp_fastopen has Linux's bits.
 */
import { after } from '../seqnum.js';
import { Mib } from '../mib.js';
import { FAST_OPEN_NO_COOKIE, earlyOpen } from '../tcp/early.js';
import { fixedHeaders } from '../tcp/options.js';
import type { Tcb } from '../tcp/tcb.js';
import type { Segment } from '../wire/segment.js';
import { CookieKeys, TRIED_BOTH, TRY_EXPERIMENT } from './cookies.js';
import type { Core } from './core.js';
import type { Listener } from './listener.js';
import { pathMtu } from './path.js';

/** Bits of knob net.ipv4.tcp_fastopen. */
const CLIENT = 1;
const SERVER = 2;
const CLIENT_NO_COOKIE = 4;
const SERVER_NO_COOKIE = 0x200;
const SERVER_ALL_LISTENERS = 0x400;

/** All options of a SYN, bytes: text on it leaves room for so many, whatever middle boxes add. */
const OPTION_SPACE = 40;
/** A request that a RST ended counts as pending for so long, ms (R7413-4; Linux tcp_fastopen_queue_check). */
const RESET_COUNTS = 60_000;
/** No pause after a black hole is longer than this many times the first (Linux tcp_fastopen_active_should_disable). */
const LONGEST_PAUSE = 64;

// ---- the client ----------------------------------------------------------------

/** R7413-2: only a user who asks for it, on a stack that permits it. */
export function clientMayFastOpen(core: Core): boolean {
  return (core.settings.fastOpen & CLIENT) !== 0;
}

/** 4.2.1: what the SYN of this connection will ask for or carry. */
export function prepareSyn(core: Core, tcb: Tcb): void {
  if (!clientMayFastOpen(core) || inPause(core)) return;
  const known = core.fastOpen.recall(tcb);
  const noCookie = (core.settings.fastOpen & CLIENT_NO_COOKIE) !== 0;
  tcb.fastOpen = true;
  const cookie = known?.cookie ?? new Uint8Array(0);
  tcb.cookieExperiment = cookie.length > 0 ? known!.experiment : known?.next === TRY_EXPERIMENT;
  if (!noCookie) tcb.cookie = cookie;
  if (!noCookie && cookie.length === 0) tcb.fastOpenFailure = FAST_OPEN_NO_COOKIE;
  if (noCookie || cookie.length > 0) {
    const path =
      pathMtu(core, tcb.remote0, tcb.remote1, tcb.remote2, tcb.remote3) - fixedHeaders(tcb.version);
    const mss = known === null || known.mss === 0 ? tcb.advMss : known.mss;
    tcb.synRoom = Math.max(0, Math.min(mss, path, tcb.advMss) - OPTION_SPACE);
  }
}

/** Bytes that the SYN will still take, once it is known what it carries. */
export function roomOnSyn(tcb: Tcb): number {
  return tcb.sndNxt === tcb.iss ? Math.max(0, tcb.synRoom - tcb.sendQueue.length) : 0;
}

/** 4.1.3, 4.2.1: the SYN,ACK of a connection that tried Fast Open. */
export function synAckTold(core: Core, tcb: Tcb, segment: Segment): void {
  const entry = core.fastOpen.entry(tcb);
  entry.mss = segment.mss >= 0 ? segment.mss : 536;
  if (segment.cookieLength > 0) {
    const at = segment.cookieOffset;
    entry.cookie = segment.bytes.slice(at, at + segment.cookieLength);
    entry.experiment = segment.cookieExperiment;
  } else if (tcb.repairs.totalRetrans === 0 && tcb.synText === 0 && segment.cookieLength < 0) {
    // No cookie for the asking: once more in the experimental form, then never again in it (Linux)
    const next = tcb.cookieExperiment ? TRIED_BOTH : TRY_EXPERIMENT;
    if (next > entry.next && entry.cookie.length === 0) entry.next = next;
  }
  if (tcb.synText > 0) {
    core.count(tcb.synTextTaken ? Mib.TcpExtTCPFastOpenActive : Mib.TcpExtTCPFastOpenActiveFail);
    if (tcb.synTextTaken) core.ctx.blackHoles = 0;
  }
}

/** A path swallowed Fast Open: it rests for tcp_fastopen_blackhole_timeout_sec, twice as long each time. */
function inPause(core: Core): boolean {
  const { blackHoles, blackHoleAt } = core.ctx;
  const first = 1000 * core.knobs.get('net.ipv4.tcp_fastopen_blackhole_timeout_sec');
  if (first === 0 || blackHoles === 0) return false;
  const pause = first * Math.min(LONGEST_PAUSE, 2 ** (blackHoles - 1));
  return after((blackHoleAt + pause) | 0, core.ctx.now);
}

// ---- the server ----------------------------------------------------------------

/** The keys of cookies: a listener's own, or the stack's. */
export function keysOf(core: Core, listener: Listener | null): CookieKeys {
  return listener?.cookieKeys ?? core.fastOpen.keys;
}

/** False: neither one key nor two. */
export function setKeys(core: Core, keys: Uint8Array, listener: Listener | null): boolean {
  if (keys.length !== 16 && keys.length !== 32) return false;
  const made = new CookieKeys(keys.slice());
  if (listener === null) core.fastOpen.keys = made;
  else listener.cookieKeys = made;
  return true;
}

/** listen() itself sets the limit where the knob says that every listener takes part. */
export function listenerDefault(core: Core, backlog: number): number {
  const bits = core.settings.fastOpen;
  return (bits & SERVER) !== 0 && (bits & SERVER_ALL_LISTENERS) !== 0 ? backlog : 0;
}

/**
 * 4.2.2: a SYN for a listener, its connection just made. With a valid cookie its text is
 * taken and the user may have the connection at once; else the SYN,ACK hands out a cookie
 * where one was asked for (R7413-3).
 */
export function synArrives(core: Core, listener: Listener, tcb: Tcb, segment: Segment): boolean {
  const { cookieLength } = segment;
  if (cookieLength === 0) core.count(Mib.TcpExtTCPFastOpenCookieReqd);
  const bits = core.settings.fastOpen;
  if ((bits & SERVER) === 0 || (segment.payloadLength === 0 && cookieLength < 0)) return false;
  if (!mayPend(core, listener)) return false;
  const keys = keysOf(core, listener);
  tcb.cookieExperiment = segment.cookieExperiment;
  if ((bits & SERVER_NO_COOKIE) !== 0) return accept(core, listener, tcb, segment);
  if (cookieLength < 0) return false;
  const key = cookieLength > 0 ? keys.keyOf(segment) : -1;
  // A client with a cookie of the key before gets a new one beside its welcome
  if (key !== 0) tcb.cookie = keys.cookie(segment, 0);
  if (key < 0) {
    if (cookieLength > 0) core.count(Mib.TcpExtTCPFastOpenPassiveFail);
    return false;
  }
  if (key > 0) core.count(Mib.TcpExtTCPFastOpenPassiveAltKey);
  return accept(core, listener, tcb, segment);
}

function accept(core: Core, listener: Listener, tcb: Tcb, segment: Segment): boolean {
  listener.pending++;
  tcb.earlyFrom = listener;
  earlyOpen(core.ctx, tcb, segment);
  core.count(Mib.TcpExtTCPFastOpenPassive);
  return true;
}

/** R7413-4 */
function mayPend(core: Core, listener: Listener): boolean {
  if (listener.fastOpen === 0) return false;
  if (listener.pending < listener.fastOpen) return true;
  const oldest = listener.resets[0];
  if (oldest === undefined || after((oldest + RESET_COUNTS) | 0, core.ctx.now)) {
    core.count(Mib.TcpExtTCPFastOpenListenOverflow);
    return false;
  }
  listener.resets.shift();
  listener.pending--;
  return true;
}
