/** A line in pieces of at most `most` columns, broken at blanks where there are any; `indent` goes before the later ones. */
export function wrap(line: string, most: number, indent = ''): string[] {
  const parts: string[] = [];
  for (let rest = line; rest !== '' || parts.length === 0;) {
    const space = rest.length <= most ? rest.length : rest.lastIndexOf(' ', most);
    const end = space > 0 ? space : Math.min(most, rest.length);
    parts.push((parts.length > 0 ? indent : '') + rest.slice(0, end));
    rest = rest.slice(end).trimStart();
  }
  return parts;
}
