/**
 * Header prediction (Van Jacobson, 1990): of a stream in full flow the next segment can be told beforehand. A segment
 * that is what its connection waits for is asked none of the questions of the general path. What it does to the connection is
 * the same (tcp/expected.ts); whatever is not so is left to the general path.
 */
import { Reason } from '../reasons.js';
import { expects, takeExpected } from '../tcp/expected.js';
import * as S from '../tcp/state.js';
import type { Tcb } from '../tcp/tcb.js';
import { ACK, PSH } from '../wire/segment.js';
import type { Core } from './core.js';

/** A plain segment (Segment.loadPlain) was what its connection waited for, and was dealt with; false: nothing has happened. */
export function predicted(core: Core, tcb: Tcb): boolean {
  const { segment, ctx } = core;
  // Text with ACK and at most PSH, no codepoint of ECN
  if ((segment.flags & ~PSH) !== ACK || segment.payloadLength === 0 || (segment.tos & 3) !== 0) return false;
  if (tcb.state !== S.ESTABLISHED || !expects(ctx, tcb, segment)) return false;
  takeExpected(ctx, tcb, segment);
  core.reasonCounts[Reason.plain]! += 1;
  return true;
}
