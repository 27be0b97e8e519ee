/** The table of requirements, what is known to deviate, and where the code names a requirement. */
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's folder; the compiled file lies three below it. */
export const root = join(dirname(fileURLToPath(import.meta.url)), '../../..');

const levels = ['MUST', 'MUST NOT', 'SHOULD', 'SHOULD NOT', 'MAY'] as const;
export type Level = (typeof levels)[number];

/** One line of requirements.tsv; README.md beside it says what the columns mean. */
export interface Requirement {
  readonly id: string;
  readonly rfc: string;
  readonly section: string;
  readonly level: Level;
  readonly area: string;
  readonly marks: readonly string[];
  readonly requirement: string;
  readonly check: string;
}

/** One entry of the key `requirements` of test/deviations.json. */
export interface Departure {
  readonly id: string;
  readonly reason: string;
  /** Where Linux or FreeBSD departs too; a MUST of RFC 9293 needs it. */
  readonly reference: string;
  /** What the tests that name the id show nevertheless; without it a row has tests or a departure. */
  readonly partly: string;
}

/** A place in src/: path below the project's folder, and the line. */
export interface Place {
  readonly path: string;
  readonly line: number;
}

const ID = /\b(?:MUST|SHLD|MAY|REC|R\d{4})-\d+\b/g;

/** Every id that a text names. */
export function idsIn(text: string): string[] {
  return [...new Set(text.match(ID) ?? [])];
}

/** A MAY needs neither a test nor a reason. */
export function isBinding({ level }: Requirement): boolean {
  return level !== 'MAY';
}

export function readTable(): Requirement[] {
  const text = readFileSync(join(root, 'test/requirements/requirements.tsv'), 'utf8');
  const [, ...lines] = text.trimEnd().split('\n');
  return lines.map((line, i) => {
    const fields = line.split('\t');
    if (fields.length !== 8) throw new SyntaxError(`requirements.tsv:${i + 2}: ${fields.length} columns`);
    const [id, rfc, section, level, area, marks, requirement, check] = fields as [string, ...string[]];
    if (!levels.includes(level as Level)) throw new SyntaxError(`requirements.tsv:${i + 2}: level ${level}`);
    return { id, rfc, section, level, area, marks: marks!.split(' '), requirement, check } as Requirement;
  });
}

export function readDepartures(): Departure[] {
  const text = readFileSync(join(root, 'test/deviations.json'), 'utf8');
  const { requirements = [] } = JSON.parse(text) as { requirements?: Partial<Departure>[] };
  return requirements.map(({ id = '', reason = '', reference = '', partly = '' }) => ({
    id,
    reason,
    reference,
    partly,
  }));
}

/** Where src/ names each id, in the order of the paths; what only speaks of a rule, the texts of reasons.ts, comes last. */
export function codePlaces(): Map<string, Place[]> {
  const places = new Map<string, Place[]>();
  const names = readdirSync(join(root, 'src'), { recursive: true }) as string[];
  const sources = names.filter((name) => name.endsWith('.ts') && name !== 'reasons.ts').sort();
  for (const name of [...sources, 'reasons.ts']) {
    const path = `src/${name}`;
    for (const [i, line] of readFileSync(join(root, path), 'utf8').split('\n').entries()) {
      for (const id of idsIn(line)) {
        const list = places.get(id);
        if (list === undefined) places.set(id, [{ path, line: i + 1 }]);
        else list.push({ path, line: i + 1 });
      }
    }
  }
  return places;
}
