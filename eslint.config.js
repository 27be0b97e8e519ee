import js from '@eslint/js';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['dist/', 'native/build/', 'coverage/', '.tap/'] },
  js.configs.recommended,
  ...tseslint.configs.strict,
  {
    rules: {
      eqeqeq: 'error',
      'max-lines': ['warn', { max: 600 }],
      'no-console': 'error',
      'no-else-return': 'warn',
      'no-param-reassign': 'off',
      'prefer-const': 'error',
      // noUncheckedIndexedAccess makes `array[i]!` the plain way to read a typed array.
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-extraneous-class': 'off',
      // The shapes of node:net: overloads one by one, events typed by a merged interface.
      '@typescript-eslint/unified-signatures': 'off',
      '@typescript-eslint/no-unsafe-declaration-merging': 'off',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', caughtErrors: 'none' }],
    },
  },
  {
    // The engine: bytes and the time come from outside (docs/architecture.md).
    files: ['src/wire/**', 'src/time/wheel.ts', 'src/timewait/**', 'src/tcp/**', 'src/stack/**'],
    rules: {
      'no-restricted-globals': [
        'error',
        'Date',
        'performance',
        'setTimeout',
        'setInterval',
        'setImmediate',
        'process',
      ],
      'no-restricted-properties': ['error', { object: 'Math', property: 'random' }],
    },
  },
  {
    files: ['src/cli/**', 'test/**', 'bench/**', 'native/*.mjs'],
    rules: { 'no-console': 'off' },
  },
  {
    // Plain scripts, run by Node as they are.
    files: ['**/*.mjs', '*.js'],
    languageOptions: {
      globals: Object.fromEntries(
        ['process', 'console', 'performance', 'setTimeout', 'clearTimeout', 'URL'].map((name) => [
          name,
          'readonly',
        ]),
      ),
    },
  },
);
