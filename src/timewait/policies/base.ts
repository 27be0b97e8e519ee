/** What most systems share; each policy names only its own choices. */
import * as contract from '../policy.js';
import type {
  BindRequest,
  CloseFacts,
  HostStamp,
  Policy,
  PolicyContext,
  RecordFacts,
  ReopenRequest,
} from '../policy.js';
import * as reasons from '../../reasons.js';
import type { Segment } from '../../wire/segment.js';

const { CHALLENGE, KEEP, LAST_ACK_CLOSED, LIMITED, PRESSURE_SKIP, REPLY_ACK, RESTART, verdict } = contract;
const { Reason } = reasons;

/** ACK, once per tcp_invalid_ratelimit for empty segments. */
export const ACK_LIMITED = REPLY_ACK | LIMITED | KEEP;
export const ACK_ALWAYS = REPLY_ACK | KEEP;
export const ACK_RESTART = REPLY_ACK | RESTART;
export const CHALLENGE_ACK = REPLY_ACK | CHALLENGE | KEEP;

/** Keeps TIME-WAIT of `lifetime` ms, reopens nothing, lets SO_REUSEADDR bind. */
export abstract class BasePolicy implements Policy {
  abstract readonly name: string;
  abstract readonly title: string;
  abstract readonly source: string;
  abstract readonly uses: readonly string[];
  readonly aliases: readonly string[] = [];
  readonly knobs: Readonly<Record<string, number>> = {};
  readonly unverified: readonly string[] = [];
  readonly notes: readonly string[] = [];
  readonly orphansAsRecords: boolean = false;
  readonly negotiatesHolder: boolean = false;
  readonly portScope: 'tuple' | 'port' = 'tuple';
  readonly hostLimit: number = 4096;
  readonly keepsWord: boolean = false;

  abstract lifetime(record: RecordFacts, context: PolicyContext, restarted: boolean): number;
  abstract segmentArrives(record: RecordFacts, segment: Segment, context: PolicyContext): number;

  remembersHost(_record: RecordFacts, _context: PolicyContext): boolean {
    return false;
  }

  isnOnReopen(_record: RecordFacts, fresh: number, _context: PolicyContext): number {
    return fresh;
  }

  synArrives(_segment: Segment, _context: PolicyContext): number {
    return verdict(KEEP, Reason.plain);
  }

  mayReopen(_record: RecordFacts, _request: ReopenRequest, _context: PolicyContext): number {
    return verdict(KEEP, Reason['reopen-refused']);
  }

  /** RFC 1122 leaves it open; as in illumos SO_REUSEADDR on the new socket is enough. */
  mayBind(_record: RecordFacts, request: BindRequest, _context: PolicyContext): boolean {
    return request.reuseAddress || !request.addressOverlaps;
  }

  onPressure(_count: number, _context: PolicyContext): number {
    return PRESSURE_SKIP;
  }

  preloadsStamp(_host: HostStamp, _context: PolicyContext): boolean {
    return false;
  }

  /** No limit of its own: the stack's (knob timewait_max_records) is all there is. */
  capacity(_context: PolicyContext): number {
    return Infinity;
  }

  lastAck(_facts: CloseFacts, _context: PolicyContext): number {
    return LAST_ACK_CLOSED;
  }

  wordOnEntry(_record: RecordFacts, _context: PolicyContext): number {
    return 0;
  }

  wordAfter(record: RecordFacts, _segment: Segment, _verdict: number, _context: PolicyContext): number {
    return record.word;
  }
}
