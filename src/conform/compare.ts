/** An expected segment against one that was sent: only what is written counts. */
import { formatNotation, type IpText, type OptionText, type SegmentText } from '../wire/notation.js';

export interface CompareOptions {
  /** Values of timestamps are compared; else only that there is one. */
  readonly stamps: boolean;
  /** By how many ticks a timestamp may differ. */
  readonly ticks: number;
}

/** '' when `got` is as expected, else `got` with the parts that `expected` speaks of. */
export function mismatch(expected: SegmentText, got: SegmentText, options: CompareOptions): string {
  const shown = visible(expected, got, options);
  const text = formatNotation(shown);
  return text === formatNotation(expected) ? '' : text;
}

function visible(expected: SegmentText, got: SegmentText, compare: CompareOptions): SegmentText {
  const { anySeq, anyAck, anyWin, anyOptions } = expected;
  const withAck = expected.ack !== undefined || got.ack !== undefined;
  return {
    ...(expected.ip === undefined ? {} : { ip: visibleIp(expected.ip, got.ip ?? {}) }),
    flags: got.flags,
    seq: got.seq,
    length: got.length,
    ...(anySeq ? { anySeq } : {}),
    ...(got.absolute ? { absolute: true } : {}),
    ...(withAck && got.ack !== undefined ? { ack: got.ack } : {}),
    ...(anyAck && got.ack !== undefined ? { anyAck } : {}),
    ...(expected.win === undefined ? {} : { win: got.win! }),
    ...(anyWin ? { anyWin } : {}),
    ...(expected.urg === undefined ? {} : { urg: got.urg ?? 0 }),
    ...(anyOptions
      ? { anyOptions }
      : {
          options: (got.options ?? []).map((option, i) =>
            visibleOption(expected.options?.[i], option, compare),
          ),
        }),
  };
}

function visibleIp(expected: IpText, got: IpText): IpText {
  const { ecn } = expected;
  const either = ecn === 'ect01' && (got.ecn === 1 || got.ecn === 2);
  return {
    ...(ecn === undefined ? {} : { ecn: either ? 'ect01' : got.ecn! }),
    ...(expected.tos === undefined ? {} : { tos: got.tos! }),
    ...(expected.ttl === undefined ? {} : { ttl: got.ttl! }),
  };
}

/** A part that stands for anything is shown as it was expected. */
function visibleOption(
  expected: OptionText | undefined,
  got: OptionText,
  compare: CompareOptions,
): OptionText {
  if (expected?.kind === 'md5' && got.kind === 'md5') return expected.digest === null ? expected : got;
  if (expected?.kind !== 'TS' || got.kind !== 'TS') return got;
  const close = Math.abs(expected.val - got.val) <= compare.ticks;
  return {
    kind: 'TS',
    val: expected.anyVal || !compare.stamps || close ? expected.val : got.val,
    ecr: expected.anyEcr ? expected.ecr : got.ecr,
    ...(expected.anyVal ? { anyVal: true as const } : {}),
    ...(expected.anyEcr ? { anyEcr: true as const } : {}),
  };
}

/** What was sent, for people: no IP part. */
export function plainText(got: SegmentText): string {
  const rest: { -readonly [K in keyof SegmentText]: SegmentText[K] } = { ...got };
  delete rest.ip;
  return formatNotation(rest);
}
