/** How commands end badly: one line on stderr and the exit status. */

/** Wrong arguments: exit status 2. The message names the argument and what is allowed. */
export class UsageError extends Error {
  /** `details`: lines that go before it, the compiler's messages. */
  constructor(
    message: string,
    readonly details: readonly string[] = [],
  ) {
    super(message);
  }
}

/** The run failed: exit status 1. */
export class RunError extends Error {}

/** A command of the user's that could not be started. */
export function notStarted(command: string, error: NodeJS.ErrnoException): RunError {
  return new RunError(`${command}: ${error.code === 'ENOENT' ? 'command not found' : lineOf(error)}`);
}

/** One line about an error, whatever it is. */
export function lineOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split('\n')[0] ?? '';
}
