import { act, definePolicy, policyNamed, reason, serial } from 'timewait';

const linux = policyNamed('linux');
const low = reason('lab-low-syn', 'dropped silently: SYN at or below RCV.NXT', 'our lab');

export default definePolicy({
  name: 'mine',
  base: linux,
  lifetime: () => 5_000,
  segmentArrives(record, segment, context) {
    if (segment.hasSyn && !serial.after(segment.seq, record.rcvNxt)) return act.silent(low);
    return linux.segmentArrives(record, segment, context);
  },
});
