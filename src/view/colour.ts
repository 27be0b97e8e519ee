/** Colours for terminals, or none: NO_COLOR and output that is no terminal switch them off. */
export interface Palette {
  good(text: string): string;
  bad(text: string): string;
  dim(text: string): string;
  strong(text: string): string;
}

function paint(code: string): (text: string) => string {
  return (text) => `\u001b[${code}m${text}\u001b[0m`;
}

const plain = (text: string): string => text;

export const noColours: Palette = { good: plain, bad: plain, dim: plain, strong: plain };
export const colours: Palette = { good: paint('32'), bad: paint('31'), dim: paint('2'), strong: paint('1') };

export function paletteFor(
  terminal: boolean,
  environment: Readonly<Record<string, string | undefined>>,
): Palette {
  return terminal && (environment['NO_COLOR'] ?? '') === '' ? colours : noColours;
}
