/** What `timewait diff --json` prints. */
export interface DiffReport {
  readonly played: number;
  readonly seconds: number;
  readonly unexamined: number;
  readonly findings: readonly {
    signature: string;
    events: number;
    deviation: string | null;
    case: string;
    script: string;
  }[];
}
