/** `timewait replay`: one end of a recording is our stack; its answers beside the recorded ones. */
import { readFileSync } from 'node:fs';
import { Recorder, type Recording } from '../lab/replay/recording.js';
import { answerText, replay, type Line, type ReplayedFlow } from '../lab/replay/replay.js';
import { nearest } from '../nearest.js';
import { guardPolicy, type Policy } from '../stack/policies.js';
import { paletteFor } from '../view/colour.js';
import { formatTuple, type End } from '../view/exchange.js';
import { formatReplay } from '../view/replay.js';
import { walkCapture } from '../wire/capture-file.js';
import { formatNotation } from '../wire/notation.js';
import { choosePolicy } from './choose-policy.js';
import { RunError, lineOf } from './fail.js';
import type { PolicyFlags } from './options.js';
import { isTuple, type TuplePattern } from './tuple.js';

export interface ReplayFlags extends PolicyFlags {
  local: string[];
  set: { name: string; value: number }[];
  tuple?: TuplePattern;
  tolerance: number;
  all?: boolean;
  json?: boolean;
}

/** Most tuples that are remembered for a message. */
const TUPLES = 1000;

/** Exit status 0 when every recorded answer has its like among ours, 1 when not. */
export async function replayFile(file: string, flags: ReplayFlags): Promise<number> {
  const recorded = read(file, flags);
  const chosen = await choosePolicy(flags);
  const policy: string | Policy =
    typeof chosen === 'string'
      ? chosen
      : guardPolicy(chosen, { report: ({ message }) => warn(message) }).policy;
  const flows = recorded.sections.flatMap((section) => replayed(section, policy, flags));
  const differ = flows.filter((flow) => !isSame(flow));
  const name = typeof policy === 'string' ? policy : policy.name;
  if (flags.json === true) say(JSON.stringify(jsonOf(file, recorded, flows, name)));
  else {
    const palette = paletteFor(process.stdout.isTTY === true, process.env);
    const others =
      recorded.others > 0 ? `, ${recorded.others} ${recorded.others === 1 ? 'other' : 'others'}` : '';
    say(`${file}: ${recorded.packets} packets${others}; policy ${name} plays ${flags.local.join(', ')}`);
    const shown = flags.all === true || flows.length === 1 ? flows : differ;
    for (const flow of shown) say(`\n${formatReplay(flow, { palette, all: flags.all === true })}`);
    say(`\n${flows.length - differ.length} of ${flows.length} tuples answered as recorded`);
  }
  return differ.length === 0 ? 0 : 1;
}

function replayed(recording: Recording, policy: string | Policy, flags: ReplayFlags): ReplayedFlow[] {
  const { local, set: knobs, tolerance } = flags;
  try {
    return replay(recording, { policy, knobs, local, tolerance, tail: tolerance });
  } catch (error) {
    if (error instanceof RangeError) throw new RunError(error.message);
    throw error;
  }
}

function isSame({ lines }: ReplayedFlow): boolean {
  return !lines.some((line) => line.kind === 'refused' || (line.kind === 'answer' && line.differs));
}

/** What was read of a file. */
interface Recorded {
  readonly sections: readonly Recording[];
  readonly packets: number;
  readonly others: number;
}

function read(file: string, { local, tuple }: ReplayFlags): Recorded {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file === '-' ? 0 : file);
  } catch (error) {
    throw new RunError(`${file}: ${lineOf(error)}`);
  }
  const others = new Set<string>();
  const wanted = (a: End, b: End): boolean => {
    if (tuple === undefined || isTuple(tuple, a, b)) return true;
    if (others.size < TUPLES) others.add(formatTuple(a, b)).add(formatTuple(b, a));
    return false;
  };
  const recorder = new Recorder(new Set(local), wanted);
  const end = walkCapture(bytes, (packet, original, section) => recorder.take(packet, original, section));
  if (end === null) throw new RunError(`${file}: no capture: neither pcapng nor pcap`);
  if (end.note !== '') warn(`${file}: ${end.note}; what is before that is played`);
  const sections = recorder.recordings();
  const packets = sections.reduce((sum, section) => sum + section.packets.length, 0);
  if (packets > 0) return { sections, packets, others: recorder.others };
  if (tuple !== undefined && others.size > 0)
    throw new RunError(
      `--tuple ${tuple.text}: not in ${file}; nearest: ${nearest(tuple.text, [...others]).join(', ')}`,
    );
  if (recorder.addresses.size === 0) throw new RunError(`${file}: no TCP segments at all`);
  const most = [...recorder.addresses].sort(([, a], [, b]) => b - a).slice(0, 5);
  const there = most.map(([address, segments]) => `${address} (${segments} segments)`).join(', ');
  throw new RunError(`--local ${local.join(', ')}: no such segments in ${file}; it has ${there}`);
}

/** The shape stands in docs/replay.md. */
function jsonOf(
  file: string,
  { packets, others }: Recorded,
  flows: readonly ReplayedFlow[],
  policy: string,
): object {
  return {
    file,
    policy,
    packets,
    others,
    same: flows.every(isSame),
    tuples: flows.map((replayedFlow) => {
      const { flow, recorded, ours, same, late, hints, lines } = replayedFlow;
      const tuple = formatTuple(flow.local, flow.remote);
      return {
        tuple,
        asRecorded: isSame(replayedFlow),
        recorded,
        ours,
        same,
        late,
        hints,
        lines: lines.map(lineJson),
      };
    }),
  };
}

function lineJson(line: Line): object {
  if (line.kind === 'refused') return line;
  if (line.kind === 'arrived') {
    const { time, frame, segment } = line.packet;
    const text = segment === null ? null : formatNotation(segment);
    return { kind: 'arrived', time, packet: frame, segment: text, reason: line.reason };
  }
  const { recorded, ours } = line;
  return {
    kind: 'answer',
    differs: line.differs,
    recorded:
      recorded === null
        ? null
        : { time: recorded.time, packet: recorded.frame, segment: answerText(recorded) },
    ours: ours === null ? null : { time: ours.time, segment: answerText(ours), reason: ours.comment },
  };
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function warn(text: string): void {
  process.stderr.write(`timewait: ${text}\n`);
}
