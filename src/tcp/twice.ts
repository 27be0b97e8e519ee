/** Data that came twice, for the ACK that reports it (RFC 2883). */
export class Twice {
  /** To be reported with the next ACK. */
  owed = false;
  left = 0;
  right = 0;
}

/** One object for all connections to which nothing did. */
export const NOT_TWICE: Readonly<Twice> = new Twice();
