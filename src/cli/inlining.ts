/**
 * How much V8 inlines into one function, in bytes of bytecode: 920 where nobody says otherwise. The steps of TCP are
 * many small functions that call each other, and most calls of a hot path are beyond that sum. With 4000 a segment
 * takes 15 % less time, a look-up 14, a connection 15; compiling takes 0.3 s of processor time more, once
 * (docs/performance.md).
 */
import { setFlagsFromString } from 'node:v8';

/** For whoever starts Node. */
export const INLINING = '--max-inlined-bytecode-size-cumulative=4000';

/**
 * For this process and the threads it has: what is compiled from now on. Once all is loaded, as the code that Node keeps
 * of its own modules was made for other settings and would not be taken.
 */
export function inlineMore(): void {
  setFlagsFromString(INLINING);
}
