/**
 * Compiles a WebAssembly text into a JavaScript module that holds it: one instance, whose exports
 * are the module's. What it exports is declared beside the text (`.wat.d.ts`). Nothing is read when
 * it runs, so the engine may import it.
 *
 *   node native/wat.mjs SOURCE.wat OUTPUT.js
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import makeWabt from 'wabt';

const [source, output] = process.argv.slice(2);
const wabt = await makeWabt();
const wat = expand(readFileSync(source, 'utf8'));
const parsed = wabt.parseWat(source, wat, { simd: true });
parsed.validate();
const { buffer } = parsed.toBinary({});
const names = [...wat.matchAll(/\(export "(\w+)"/g)].map(([, name]) => name);
const text = `// Made from ${source}
const code = Uint8Array.of(${buffer.join(',')});
export const { ${names.join(', ')} } = new WebAssembly.Instance(new WebAssembly.Module(code)).exports;
`;
mkdirSync(dirname(output), { recursive: true });
writeFileSync(output, text);

/**
 * Puts definitions where they are asked for, in what follows them:
 *
 *   (@define NAME $a $b         (@NAME $x $y): the lines, with $x for $a and $y for $b
 *     lines
 *   )
 */
function expand(wat) {
  const definitions = new Map();
  const put = (text) =>
    text.replace(/\(@(\w+)([ $\w]*)\)/g, (use, name, given) => {
      if (!definitions.has(name)) return use;
      const { names, body } = definitions.get(name);
      const words = given.trim().split(' ');
      return body.replace(/\$\w+/g, (word) => words[names.indexOf(word)] ?? word);
    });
  const rest = wat.replace(/^ {2}\(@define (\w+)([ $\w]*)\n(.*?)^ {2}\)\n/gms, (_, name, names, body) => {
    definitions.set(name, { names: names.trim().split(' '), body: put(body) });
    return '';
  });
  const text = put(rest);
  const left = /\(@.*/.exec(text);
  if (left) throw new Error(`${source}: ${left[0]}: no such definition before it, or not words alone`);
  return text;
}
