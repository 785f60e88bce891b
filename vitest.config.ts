import { defineConfig } from 'vitest/config'

const suite = (name: string, root: string) => ({
  test: { name, root, environment: 'node' as const, include: ['**/*.test.ts'] },
})

export default defineConfig({
  test: {
    reporters: ['default', './test/reporter.ts'],
    testTimeout: 60_000,
    coverage: {
      provider: 'v8',
      // The sources lie outside the projects, whose roots are the tests.
      allowExternal: true,
      include: ['**/packages/*/src/**/*.ts'],
      // What reads bytes from outside is tried in every way there is.
      thresholds: { '**/packages/core/src/format/**': { branches: 95 } },
    },
    projects: [
      suite('core', 'packages/core/test'),
      suite('kms', 'packages/kms/test'),
      suite('cli', 'packages/cli/test'),
      suite('examples', 'examples'),
      suite('across', 'test'),
    ],
  },
})
