/** What all servers of the wire benchmarks have in common; bench/native has the same numbers in C. */

/** Takes whatever comes. */
export const SINK = 5001;
/** Sends as much as it may. */
export const SOURCE = 5002;
/** One byte for the first that comes, and closes first. */
export const ANSWER = 8000;

/** Batches of packets that the minimal terminator takes before the event loop gets its turn. */
export const BATCHES = 8;

/** Tells the benchmark that the server is there; `device` is to be brought up. */
export function ready(device: string): void {
  process.stdout.write(`ready ${device}\n`);
}
