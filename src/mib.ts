/**
 * The counters of a stack, under the names that `nstat` prints on Linux
 * (RFC 4022 tcp group, IP and ICMP groups, Linux TcpExt), and a few of our own
 * (`Timewait*`) for what Linux never counts.
 *
 * A counter is an index into one Float64Array, so counting is one add.
 */
export const counterNames = [
  // IP (RFC 4293)
  'IpInReceives',
  'IpInHdrErrors',
  'IpInAddrErrors',
  'IpInUnknownProtos',
  'IpInDelivers',
  'IpOutRequests',
  'IpOutDiscards',
  'IpReasmReqds',
  // In the order of the codepoints
  'IpExtInNoECTPkts',
  'IpExtInECT1Pkts',
  'IpExtInECT0Pkts',
  'IpExtInCEPkts',
  'Ip6InReceives',
  'Ip6InHdrErrors',
  'Ip6InAddrErrors',
  'Ip6InUnknownProtos',
  'Ip6InDelivers',
  'Ip6OutRequests',
  'Ip6InNoECTPkts',
  'Ip6InECT1Pkts',
  'Ip6InECT0Pkts',
  'Ip6InCEPkts',
  // ICMP
  'IcmpInMsgs',
  'IcmpInErrors',
  'IcmpInCsumErrors',
  'IcmpInDestUnreachs',
  'IcmpInTimeExcds',
  'IcmpInParmProbs',
  'IcmpInEchos',
  'IcmpOutEchoReps',
  'IcmpOutRateLimited',
  // TCP (RFC 4022)
  'TcpActiveOpens',
  'TcpPassiveOpens',
  'TcpAttemptFails',
  'TcpEstabResets',
  'TcpInSegs',
  'TcpOutSegs',
  'TcpRetransSegs',
  'TcpInErrs',
  'TcpOutRsts',
  'TcpInCsumErrors',
  // TcpExt, as on Linux
  'TcpExtTW',
  'TcpExtTWRecycled',
  'TcpExtTWKilled',
  'TcpExtPAWSActive',
  'TcpExtPAWSPassive',
  'TcpExtPAWSEstab',
  'TcpExtPAWSTimewait',
  'TcpExtPAWSOldAck',
  'TcpExtTSEcrRejected',
  'TcpExtBeyondWindow',
  'TcpExtDelayedACKs',
  'TcpExtListenOverflows',
  'TcpExtListenDrops',
  'TcpExtTCPReqQFullDrop',
  'TcpExtTCPDeferAcceptDrop',
  'TcpExtTCPMigrateReqSuccess',
  'TcpExtTCPPureAcks',
  'TcpExtTCPHPHits',
  'TcpExtTCPSackRecovery',
  'TcpExtTCPRenoRecovery',
  'TcpExtTCPTimeouts',
  'TcpExtTCPFastRetrans',
  'TcpExtTCPSlowStartRetrans',
  'TcpExtTCPOFOQueue',
  'TcpExtTCPOFODrop',
  'TcpExtTCPOFOMerge',
  'TcpExtTCPDSACKOldSent',
  'TcpExtTCPDSACKRecv',
  'TcpExtTCPDSACKRecvSegs',
  'TcpExtTCPDSACKIgnoredOld',
  'TcpExtTCPDSACKIgnoredNoUndo',
  'TcpExtTCPDSACKIgnoredDubious',
  'TcpExtTCPSACKDiscard',
  'TcpExtTCPAckCompressed',
  'TcpExtTCPRcvQDrop',
  'TcpExtTCPAbortOnData',
  'TcpExtTCPAbortOnClose',
  'TcpExtTCPAbortOnMemory',
  'TcpExtTCPAbortOnTimeout',
  'TcpExtTCPAbortOnLinger',
  'TcpExtTCPAbortFailed',
  'TcpExtTCPTimeWaitOverflow',
  'TcpExtTCPSYNChallenge',
  'TcpExtTCPChallengeACK',
  'TcpExtTCPACKSkippedSynRecv',
  'TcpExtTCPACKSkippedPAWS',
  'TcpExtTCPACKSkippedSeq',
  'TcpExtTCPACKSkippedFinWait2',
  'TcpExtTCPACKSkippedTimeWait',
  'TcpExtTCPACKSkippedChallenge',
  'TcpExtTCPWinProbe',
  'TcpExtTCPKeepAlive',
  'TcpExtTCPOrigDataSent',
  'TcpExtTCPFromZeroWindowAdv',
  'TcpExtTCPToZeroWindowAdv',
  'TcpExtTCPWantZeroWindowAdv',
  'TcpExtOutOfWindowIcmps',
  'TcpExtLockDroppedIcmps',
  'TcpExtTCPMTUPFail',
  'TcpExtTCPMTUPSuccess',
  'TcpExtTCPSynRetrans',
  'TcpExtTCPLostRetransmit',
  'TcpExtTCPLossProbes',
  'TcpExtTCPLossProbeRecovery',
  'TcpExtTCPLossUndo',
  'TcpExtTCPFullUndo',
  'TcpExtTCPPartialUndo',
  'TcpExtTCPDSACKUndo',
  'TcpExtTCPSpuriousRTOs',
  'TcpExtTCPSACKReneging',
  'TcpExtTCPDSACKOfoSent',
  'TcpExtTCPDSACKOfoRecv',
  'TcpExtEmbryonicRsts',
  'TcpExtSyncookiesSent',
  'TcpExtSyncookiesRecv',
  'TcpExtSyncookiesFailed',
  'TcpExtTCPReqQFullDoCookies',
  'TcpExtTCPFastOpenActive',
  'TcpExtTCPFastOpenActiveFail',
  'TcpExtTCPFastOpenPassive',
  'TcpExtTCPFastOpenPassiveFail',
  'TcpExtTCPFastOpenListenOverflow',
  'TcpExtTCPFastOpenCookieReqd',
  'TcpExtTCPFastOpenBlackhole',
  'TcpExtTCPFastOpenPassiveAltKey',
  'TcpExtTCPSACKReorder',
  'TcpExtTCPRenoReorder',
  'TcpExtTCPHystartTrainDetect',
  'TcpExtTCPHystartTrainCwnd',
  'TcpExtTCPHystartDelayDetect',
  'TcpExtTCPHystartDelayCwnd',
  // Ours: what the TIME-WAIT table did
  'TimewaitReopened',
  'TimewaitRstKilled',
  'TimewaitRestarted',
  'TimewaitAcked',
  'TimewaitDropped',
  'TimewaitEvicted',
  'TimewaitSkipped',
  'TimewaitReturned',
] as const;

export type CounterName = (typeof counterNames)[number];

/** Counter ids by name: `Mib.TcpExtTW`. */
export const Mib = Object.fromEntries(counterNames.map((name, index) => [name, index])) as {
  readonly [Name in CounterName]: number;
};

/** The counters of one stack. */
export class Counters {
  readonly values = new Float64Array(counterNames.length);

  bump(id: number): void {
    this.values[id]! += 1;
  }

  add(id: number, amount: number): void {
    this.values[id]! += amount;
  }

  get(name: CounterName): number {
    return this.values[Mib[name]]!;
  }
}
