/** A script on our stack, for tests. */
import { definedNames } from '../../src/conform/profile.js';
import type { RunOptions, RunResult } from '../../src/conform/result.js';
import { runScript } from '../../src/conform/runner.js';
import { StackTarget } from '../../src/conform/stack-target.js';

export function run(
  text: string,
  options: Partial<RunOptions> & { profile?: string; define?: readonly string[] } = {},
): Promise<RunResult> {
  const { profile = 'rfc9293', define = [], ...rest } = options;
  return runScript(
    text,
    { defined: definedNames(profile, define), ...rest },
    (setup) => new StackTarget(setup, { profile, knobs: [] }),
  );
}

/** '' when it passes, else `LINE: message | expected | got`. */
export async function verdict(text: string, options: Parameters<typeof run>[1] = {}): Promise<string> {
  const { failure } = await run(text, options);
  if (failure === null) return '';
  return `${failure.line}: ${failure.message} | ${failure.expected} | ${failure.got}`;
}

/** A listener on descriptor 3, and a connection on 4 without options. */
export const SERVER = `0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0
+0 bind(3, ..., ...) = 0
+0 listen(3, 5) = 0
+0 < S 0:0(0) win 65535 <mss 1460>
+0 > S. 0:0(0) ack 1 <mss 1460>
+.1 < . 1:1(0) ack 1 win 65535
+0 accept(3, ..., ...) = 4
`;

/** A non-blocking socket on descriptor 3 that has sent its SYN. */
export const CLIENT = `0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0
+0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
+0 > S 0:0(0) <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 5>
`;
