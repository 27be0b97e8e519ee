/** Columns of the terminal that standard output is; undefined when it is none, and lines stay whole. */
export function terminalWidth(): number | undefined {
  const { isTTY, columns } = process.stdout;
  // A terminal that was never told its size has 0
  return isTTY === true && columns > 0 ? columns : undefined;
}
