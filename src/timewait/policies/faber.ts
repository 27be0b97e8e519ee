/**
 * TIME-WAIT moved to the client, where it costs least: the two proposals of Faber, Touch
 * and Yue for TCP itself (INFOCOM 1999, draft-faber-time-wait-avoidance-00). What arrives
 * in TIME-WAIT meets the rules of RFC 9293.
 */
import * as contract from '../policy.js';
import type { CloseFacts, PolicyContext, RecordFacts } from '../policy.js';
import { Rfc9293Rules } from './rfc9293.js';

const { HOLDER_PEER, HOLDER_US, LAST_ACK_CLOSED, LAST_ACK_TAKE_OVER, LAST_ACK_TIME_WAIT } = contract;

const SOURCE =
  'Faber, Touch, Yue: The TIME-WAIT state in TCP and its effect on busy servers, INFOCOM 1999, pp. 1573-1583; draft-faber-time-wait-avoidance-00';

class FaberClient extends Rfc9293Rules {
  readonly name = 'faber-client';
  readonly title =
    "client keeps TIME-WAIT: when the server closed first, the client's RST removes the server's record";
  readonly source = SOURCE;
  override readonly unverified = [
    'When exactly the RST is sent and what its fields hold: here at once on the ACK of the FIN, SEG.SEQ = SND.NXT, no ACK flag.',
  ];
  override readonly notes = [
    'Only the client needs it; the server is any system that lets a RST at RCV.NXT end TIME-WAIT (not FreeBSD, macOS, gVisor, lwIP, nor Linux with tcp_rfc1337=1).',
    'The RST is not repeated: when it is lost, both ends hold TIME-WAIT.',
  ];

  override lastAck(facts: CloseFacts): number {
    return facts.active ? LAST_ACK_TAKE_OVER : LAST_ACK_CLOSED;
  }
}

class FaberNegotiate extends Rfc9293Rules {
  readonly name = 'faber-negotiate';
  readonly title = 'both ends agree by a TCP option that the client holds TIME-WAIT, whoever closes first';
  readonly source = SOURCE;
  override readonly unverified = [
    'The format of the option: here an experimental one (RFC 6994), and it always proposes the active opener.',
  ];
  override readonly notes = ['With a peer that does not know the option who closes first holds TIME-WAIT.'];
  override readonly negotiatesHolder = true;

  override lifetime(record: RecordFacts, context: PolicyContext, restarted: boolean): number {
    return record.holder === HOLDER_PEER ? 0 : super.lifetime(record, context, restarted);
  }

  override lastAck(facts: CloseFacts): number {
    return facts.holder === HOLDER_US ? LAST_ACK_TIME_WAIT : LAST_ACK_CLOSED;
  }
}

export const faberClient = new FaberClient();
export const faberNegotiate = new FaberNegotiate();
