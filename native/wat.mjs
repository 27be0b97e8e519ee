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
const parsed = wabt.parseWat(source, expand(readFileSync(source, 'utf8')), { simd: true });
parsed.validate();
const { buffer } = parsed.toBinary({});
const names = [...readFileSync(source, 'utf8').matchAll(/\(export "(\w+)"/g)].map(([, name]) => name);
const text = `// Made from ${source}
const code = Uint8Array.of(${buffer.join(',')});
export const { ${names.join(', ')} } = new WebAssembly.Instance(new WebAssembly.Module(code)).exports;
`;
mkdirSync(dirname(output), { recursive: true });
writeFileSync(output, text);

/**
 * Puts definitions where they are asked for:
 *
 *   (@define NAME $a $b         (@NAME $x $y): the lines, with $x for $a and $y for $b
 *     lines
 *   )
 */
function expand(wat) {
  const definitions = new Map();
  let rest = wat.replace(/^ {2}\(@define (\w+)([ $\w]*)\n(.*?)^ {2}\)\n/gms, (_, name, names, body) => {
    definitions.set(name, { names: names.trim().split(' '), body });
    return '';
  });
  while (rest.includes('(@'))
    rest = rest.replace(/\(@(\w+)([ $\w]*)\)/g, (_, name, given) => {
      if (!definitions.has(name)) throw new Error(`${source}: (@${name}) is not defined`);
      const { names, body } = definitions.get(name);
      const words = given.trim().split(' ');
      return body.replace(/\$\w+/g, (word) => words[names.indexOf(word)] ?? word);
    });
  return rest;
}
