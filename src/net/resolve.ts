/** From a host to the addresses to try: an address is itself, a name asks the lookup function. */
import { lookup as dnsLookup } from 'node:dns';
import { isIP } from 'node:net';
import type { ConnectTarget, LookupAddress, LookupFunction } from './arguments.js';
import { familyOf } from './arguments.js';
import { codedError } from './errors.js';

export interface Resolution {
  /** The question was answered by a lookup, not by the host being an address. */
  readonly looked: boolean;
  readonly error: Error | null;
  readonly addresses: readonly LookupAddress[];
}

/**
 * Calls `done` once: at once for an address, when the lookup answers for a name.
 * Unless one family was asked for, Node's own lookup is asked for all addresses, so
 * that a stack with one IP version can take the one that suits it; a lookup function
 * of the user's is asked for one, as it always could be.
 */
export function resolve(host: string, target: ConnectTarget, done: (resolution: Resolution) => void): void {
  const literal = isIP(host);
  if (literal !== 0) {
    done({ looked: false, error: null, addresses: [{ address: host, family: literal }] });
    return;
  }
  const family = familyOf(target.family);
  const lookup: LookupFunction = target.lookup ?? (dnsLookup as unknown as LookupFunction);
  const all = target.lookup === undefined && family === 0;
  let answered = false;
  lookup(host, { family, hints: target.hints ?? 0, all }, (error, address, answeredFamily) => {
    // A lookup function that answers twice is not heard twice.
    if (answered) return;
    answered = true;
    if (error) {
      done({ looked: true, error, addresses: [] });
      return;
    }
    const addresses =
      typeof address === 'string' ? [{ address, family: familyOf(answeredFamily) }] : (address ?? []);
    const bad = addresses.find((entry) => isIP(entry.address) === 0);
    if (addresses.length === 0 || bad !== undefined) {
      const problem = codedError(
        'ERR_INVALID_IP_ADDRESS',
        `Invalid IP address: ${String(bad?.address)}`,
        TypeError,
      );
      done({ looked: true, error: problem, addresses: [] });
      return;
    }
    done({
      looked: true,
      error: null,
      addresses: addresses.map((entry) => ({ address: entry.address, family: isIP(entry.address) })),
    });
  });
}
