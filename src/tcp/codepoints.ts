/** What arrived with an ECN codepoint, as TCP_INFO counts it. Made with the first such packet. */
export class Codepoints {
  /** Segments with CE. */
  marked = 0;
  /** Bytes of text by codepoint: not-ECT (unused), ECT(1), ECT(0), CE. */
  readonly bytes = [0, 0, 0, 0];
}
