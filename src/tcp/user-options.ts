/** What the user of a connection chose: one object for all who chose nothing, a new one for each choice. */

export class UserOptions {
  /** TCP_NODELAY, TCP_CORK. */
  readonly noDelay: boolean = false;
  readonly corked: boolean = false;
  /** TCP_MAXSEG, 0: none. */
  readonly maxSegment: number = 0;
  /** SO_SNDBUF, SO_RCVBUF: the buffer stays as the user wants it. */
  readonly sendBufferSet: boolean = false;
  readonly receiveBufferSet: boolean = false;
  /** TCP_NOTSENT_LOWAT, bytes, 0: the stack's. */
  readonly notsentLowat: number = 0;
  /** SO_LINGER, s: -1 close() leaves the rest to the engine, 0 it aborts, else it waits so long. */
  readonly linger: number = -1;
  /** TCP_CONGESTION: number of the algorithm, -1: the stack's. */
  readonly congestion: number = -1;
  /** SO_KEEPALIVE and TCP_KEEPIDLE, ms, 0 off; TCP_KEEPINTVL, ms, and TCP_KEEPCNT; 0: the stack's. */
  readonly keepIdle: number = 0;
  readonly keepInterval: number = 0;
  readonly keepCount: number = 0;
  /** TCP_USER_TIMEOUT, ms, 0: the stack's. */
  readonly userTimeout: number = 0;
  /** Wants to hear of soft errors (SHLD-20). */
  readonly errorReports: boolean = true;
  /** SO_MAX_PACING_RATE, bytes a second; whoever sets one is paced from then on. */
  readonly maxPacingRate: number = Infinity;
  readonly paced: boolean = false;
}

export const NO_CHOICE = new UserOptions();

export function choose(tcb: { options: UserOptions }, chosen: Partial<UserOptions>): void {
  tcb.options = Object.assign(new UserOptions(), tcb.options, chosen);
}

/** Knob tcp_pacing, or SO_MAX_PACING_RATE. */
export function isPaced(config: { pacing: boolean }, tcb: { options: UserOptions }): boolean {
  return config.pacing || tcb.options.paced;
}
