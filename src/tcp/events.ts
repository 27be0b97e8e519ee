/** What a connection tells its user: bits of `takeEvents()`. */
export const EV_CONNECTED = 1 << 0;
/** Data, or the end of it, waits to be read. */
export const EV_READABLE = 1 << 1;
/** The send buffer fell below its limit after a `send` that filled it. */
export const EV_WRITABLE = 1 << 2;
/** The peer's FIN was taken in order: after the data on hand nothing comes any more. */
export const EV_PEER_CLOSED = 1 << 3;
/** The connection is gone (or only a TIME-WAIT record is left); `error` says why, null after an orderly close. */
export const EV_CLOSED = 1 << 4;
/** Everything sent so far, our FIN included, was acknowledged. */
export const EV_FLUSHED = 1 << 5;
/** A soft error (ICMP, R1) is available in `softError`. */
export const EV_SOFT_ERROR = 1 << 6;
/** Urgent data is announced. */
export const EV_URGENT = 1 << 7;
/** A report waits for `takeStamp`. */
export const EV_STAMPED = 1 << 8;
/** close() that lingered is over: everything was acknowledged, or the time has passed (`lingerExpired`). */
export const EV_LINGERED = 1 << 9;

/** Why a connection failed, as errno names. */
export type ConnectionError =
  | 'ECONNREFUSED'
  | 'ECONNRESET'
  | 'ECONNABORTED'
  | 'ETIMEDOUT'
  | 'EHOSTUNREACH'
  | 'ENETUNREACH'
  | 'EACCES'
  | 'EMSGSIZE'
  | 'EPROTO'
  | 'EPIPE';
