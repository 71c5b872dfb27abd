import js from '@eslint/js';
import tseslint from 'typescript-eslint';

const koffiOnlyInFfi = {
  paths: [{ name: 'koffi', message: 'koffi is imported in *.ffi.ts files only' }],
};

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', 'bench/results/', '**/*.js'] },
  js.configs.recommended,
  ...tseslint.configs.recommended,
  {
    files: ['**/*.ts'],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/no-non-null-assertion': 'off',
      'no-console': 'error',
      'max-lines': ['warn', { max: 500 }],
      'no-restricted-imports': ['error', koffiOnlyInFfi],
      'no-constant-condition': ['error', { checkLoops: false }],
    },
  },
  { files: ['**/*.ffi.ts'], rules: { 'no-restricted-imports': 'off' } },
  {
    // Kernel paths: errors are values, nothing waits, nothing allocates a promise.
    files: ['syscalls/**/*.ts', 'sentry/{kernel,mm,vfs,fsimpl,usermem,socket,waiter}/**/*.ts'],
    ignores: ['**/*.test.ts', '**/testing/**'],
    rules: {
      'no-restricted-syntax': [
        'error',
        { selector: 'ThrowStatement', message: 'kernel paths return -errno; use panic() for bugs' },
        { selector: 'AwaitExpression', message: 'kernel paths are synchronous' },
        { selector: ':function[async=true]', message: 'kernel paths are synchronous' },
      ],
    },
  },
  {
    files: ['test/**/*.ts', 'bench/**/*.ts', '**/*.test.ts', 'oci-shim/**/*.ts'],
    rules: { 'no-console': 'off' },
  },
);
