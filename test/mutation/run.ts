/**
 * Mutation testing of what reads bytes from outside and of what wraps and encrypts: changes the code in a thousand small
 * ways and sees whether a test fails each time. `node test/mutation/run.ts [FILE…]`, which takes some ten minutes on one
 * processor. Stryker comes by `pnpm dlx`, and works in a copy of the tree, which it changes in place.
 */

import { spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'

const root = join(import.meta.dirname, '../..')
const stryker = '10.1.1'
/** The one that the workspace has: Stryker's own would be another program. */
const vitest = '5.1.1'

const format = readdirSync(join(root, 'packages/core/src/format')).map(
  (name) => `packages/core/src/format/${name}`,
)
const all = [
  ...format,
  'packages/core/src/keys/wrapped-key.ts',
  'packages/core/src/primitives/cobblestone.ts',
]

const mutate = process.argv.length > 2 ? process.argv.slice(2) : all
const copy = mkdtempSync(join(tmpdir(), 'longhold-mutants-'))
try {
  copyTree(copy)
  writeFileSync(join(copy, 'stryker.config.json'), JSON.stringify(strykerConfig(mutate)))
  writeFileSync(join(copy, 'vitest.mutation.config.ts'), vitestConfig(mutate))
  process.exitCode = await run(copy)
  print(copy)
} finally {
  rmSync(copy, { recursive: true, force: true })
}

/** With what is installed by links: it is read, never changed. */
function copyTree(to: string): void {
  const skipped = new Set(['node_modules', 'dist', '.git', 'results'])
  for (const name of ['packages/core', 'test', 'package.json', 'tsconfig.base.json', 'tsconfig.tests.json']) {
    const filter = (path: string) => !skipped.has(path.split('/').at(-1) ?? '')
    cpSync(join(root, name), join(to, name), { recursive: true, filter })
  }
  for (const name of ['node_modules', 'packages/core/node_modules'])
    symlinkSync(join(root, name), join(to, name))
}

function strykerConfig(files: readonly string[]): object {
  return {
    testRunner: 'vitest',
    plugins: ['@stryker-mutator/vitest-runner'],
    vitest: { configFile: 'vitest.mutation.config.ts' },
    mutate: files,
    // The copy is ours; and a copy of the copy would not find what the links lead to.
    inPlace: true,
    concurrency: 1,
    // A text in an error is looked at where it matters.
    mutator: { excludedMutations: ['StringLiteral'] },
    ignoreStatic: true,
    timeoutMS: 20_000,
    reporters: ['clear-text', 'json', 'progress-append-only'],
    clearTextReporter: { allowColor: false, logTests: false, reportTests: false },
    tempDirName: '.stryker',
    disableTypeChecks: false,
  }
}

/** The unit tests that mirror the files, and the one of what is bound to what: all of core's would notice more. */
function vitestConfig(files: readonly string[]): string {
  const own = files.map((file) => file.replace('/src/', '/test/').replace(/\.ts$/, '.test.ts'))
  const include = [...own, 'packages/core/test/keys/bindings.test.ts']
  const core = "new URL('packages/core/src/index.ts', import.meta.url).pathname"
  return `import { defineConfig } from 'vitest/config'
export default defineConfig({
  resolve: { alias: [{ find: /^@longhold\\/core$/, replacement: ${core} }] },
  test: { include: ${JSON.stringify(include)}, testTimeout: 60_000 },
})
`
}

async function run(cwd: string): Promise<number> {
  const tools = ['@stryker-mutator/core', '@stryker-mutator/vitest-runner'].map(
    (name) => `${name}@${stryker}`,
  )
  const packages = [...tools, `vitest@${vitest}`].map((name) => `--package=${name}`)
  const env = { ...process.env, PATH: [join(root, 'node_modules/.bin'), process.env['PATH']].join(delimiter) }
  const child = spawn('npx', ['-y', 'pnpm@12', ...packages, 'dlx', 'stryker', 'run'], {
    cwd,
    env,
    stdio: 'inherit',
  })
  return await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve(code ?? 1))
  })
}

interface Report {
  readonly files: Readonly<Record<string, { readonly mutants: readonly { readonly status: string }[] }>>
}

/** A line for each file: how many mutants, and how many of them a test noticed. */
function print(folder: string): void {
  const report = JSON.parse(readFileSync(join(folder, 'reports/mutation/mutation.json'), 'utf8')) as Report // Stryker's
  const rows = Object.entries(report.files).map(([name, { mutants }]) => {
    const of = (...statuses: string[]) => mutants.filter(({ status }) => statuses.includes(status)).length
    return { name, noticed: of('Killed', 'Timeout'), unnoticed: of('Survived', 'NoCoverage') }
  })
  const sum = (of: (row: (typeof rows)[number]) => number) => rows.reduce((total, row) => total + of(row), 0)
  for (const { name, noticed, unnoticed } of [
    ...rows,
    { name: 'all', noticed: sum((row) => row.noticed), unnoticed: sum((row) => row.unnoticed) },
  ]) {
    const share = ((100 * noticed) / Math.max(1, noticed + unnoticed)).toFixed(1)
    console.log(`${name}: ${noticed + unnoticed} mutants, ${unnoticed} unnoticed, ${share} % noticed`)
  }
}
