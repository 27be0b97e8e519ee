/** Plays `%{ code }%`: names are given values, assertions are checked, what is printed becomes a note. */
import type { Statement } from './code.js';
import { constants } from './constants.js';
import { EvaluationError, evaluate, holds, namesIn, textOf, type LookUp, type Result } from './evaluate.js';
import type { Positions } from './reader.js';
import type { Wrong } from './result.js';

export interface CodeContext {
  /** Given by the script's earlier code. */
  readonly names: Map<string, Result>;
  readonly info: ReadonlyMap<string, number>;
  readonly positions: Positions;
  readonly notes: string[];
}

/** null when everything holds. */
export function checkCode(statements: readonly Statement[], context: CodeContext): Wrong | null {
  const { names, info, positions, notes } = context;
  const lookUp: LookUp = (name) => names.get(name) ?? info.get(name) ?? constants.get(name) ?? null;
  for (const statement of statements) {
    try {
      if (statement.kind === 'assign') names.set(statement.name, evaluate(statement.value, lookUp));
      else if (statement.kind === 'print')
        notes.push(statement.args.map((arg) => textOf(evaluate(arg, lookUp))).join(' '));
      else if (!holds(evaluate(statement.condition, lookUp))) return failed(statement, lookUp, positions);
    } catch (error) {
      if (!(error instanceof EvaluationError)) throw error;
      return { message: error.message, unusable: true };
    }
  }
  return null;
}

function failed(
  statement: Extract<Statement, { kind: 'assert' }>,
  lookUp: LookUp,
  positions: Positions,
): Wrong {
  const values = namesIn(statement.condition).map((name) => `${name} = ${textOf(lookUp(name) ?? '?')}`);
  const said = statement.message === null ? '' : textOf(evaluate(statement.message, lookUp));
  // Most messages are the value that was compared
  const more = said === '' || values.some((value) => value.endsWith(` = ${said}`)) ? '' : `: ${said}`;
  return {
    ...positions.of(statement.at),
    message: `the assertion does not hold${more}`,
    expected: statement.source,
    got: values.join(', '),
  };
}
