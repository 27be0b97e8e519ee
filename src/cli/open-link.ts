/** A link that was opened, and what was made beside it. */
import type { Link } from '../link/link.js';
import type { Network } from '../net/network.js';

export interface OpenLink {
  readonly link: Link;
  /** What to put before a command so that it runs at the kernel's end. */
  readonly prefix: readonly string[];
  /** Resolves once our addresses may be used by the network on this link. Rejects when another host has one, or the system refuses. */
  ready(network: Network): Promise<void>;
  /** Takes back what was made besides the link. */
  close(): void;
}

/** Of a link beside which nothing was made. */
export const nothingElse = { prefix: [], ready: () => Promise.resolve(), close: () => undefined };
