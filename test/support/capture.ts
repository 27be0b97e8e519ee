/** Captures written by hand: lines of notation between two ends. */
import { Gatherer, type Exchange, type GatherOptions } from '../../src/view/exchange.js';
import { parseAddress } from '../../src/wire/address.js';
import { buildPacket } from '../../src/wire/notation-packet.js';
import { parseNotation } from '../../src/wire/notation-parse.js';
import type { CapturedPacket } from '../../src/wire/pcapng.js';

export interface CaptureOptions {
  readonly client?: string;
  readonly server?: string;
  readonly clientPort?: number;
  readonly serverPort?: number;
}

/** The packet of `text` from the client or the server, at ms since 2023-11-14T22:13:20Z. Direction unknown. */
export function captured(
  ms: number,
  fromClient: boolean,
  text: string,
  options: CaptureOptions = {},
): CapturedPacket {
  const parsed = parseNotation(text);
  if ('error' in parsed) throw new SyntaxError(`${text}: ${parsed.error}`);
  const client = parseAddress(options.client ?? '10.0.0.1')!;
  const server = parseAddress(options.server ?? '10.0.0.2')!;
  const [src, dst] = fromClient ? [client, server] : [server, client];
  const ports = [options.clientPort ?? 4000, options.serverPort ?? 80] as const;
  const [srcPort, dstPort] = fromClient ? ports : [ports[1], ports[0]];
  return {
    bytes: buildPacket(parsed, { src, dst, srcPort, dstPort }),
    linkType: 101,
    seconds: 1_700_000_000 + Math.floor(ms / 1000),
    nanoseconds: Math.round((ms % 1000) * 1e6),
    inbound: null,
    comment: '',
  };
}

/** `12 > S 0:0(0)`: ms, `>` from the client or `<` from the server, the segment. */
export function packetsOf(lines: readonly string[], options: CaptureOptions = {}): CapturedPacket[] {
  return lines.map((line) => {
    const [, ms, arrow, text] = /^ *([\d.]+) ([<>]) (.*)$/.exec(line) ?? [];
    if (ms === undefined || text === undefined) throw new SyntaxError(line);
    return captured(Number(ms), arrow === '>', text, options);
  });
}

export function exchangesOf(packets: readonly CapturedPacket[], options: GatherOptions = {}): Exchange[] {
  const gatherer = new Gatherer(options);
  for (const packet of packets) gatherer.take(packet, packet.bytes.length, 0);
  return gatherer.exchanges();
}
