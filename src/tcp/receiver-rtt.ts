/** The round trip as the receiver of text sees it (autotune.ts). */
export class ReceiverRtt {
  /** In eighths of ms, 0 before the first sample. */
  eighths = 0;
  /** The echo that was measured last. */
  echo = 0;
  /** Without timestamps: a window is timed that ends at `end`, since `at`. */
  running = false;
  end = 0;
  at = 0;
}
