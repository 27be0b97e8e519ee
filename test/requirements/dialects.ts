/** The departures of each system as src/tcp/dialect.ts has them: the comment above the field, and its values. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { dialects, type Dialect } from '../../src/tcp/dialect.js';
import { root } from './table.js';

export interface Custom {
  readonly field: string;
  readonly text: string;
  /** In the order of `dialects`. */
  readonly values: readonly string[];
}

/** Everything but the name. Throws SyntaxError for a field without a comment. */
export function customs(): Custom[] {
  const text = readFileSync(join(root, 'src/tcp/dialect.ts'), 'utf8');
  const file = ts.createSourceFile('dialect.ts', text, ts.ScriptTarget.ES2022, true);
  const base = file.statements.find(
    (one): one is ts.ClassDeclaration => ts.isClassDeclaration(one) && one.name?.text === 'Dialect',
  );
  const fields = [...(base?.members ?? [])].filter(ts.isPropertyDeclaration);
  return fields
    .map((field) => ({ field, name: field.name.getText() }))
    .filter(({ name }) => name !== 'name')
    .map(({ field, name }) => {
      const comment = ts.getTextOfJSDocComment(ts.getJSDocCommentsAndTags(field).find(ts.isJSDoc)?.comment);
      if (comment === undefined) throw new SyntaxError(`dialect.ts: ${name} has no comment`);
      const values = dialects.map((dialect) => String(dialect[name as keyof Dialect]));
      return { field: name, text: comment.replace(/\s+/g, ' '), values };
    });
}
