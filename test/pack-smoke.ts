/**
 * Packs every package, installs the tarballs in an empty project and uses them as a stranger would: what is tested
 * elsewhere from sources must also hold for what is published.
 */

import { execFileSync } from 'node:child_process'
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { publint } from 'publint'
import { formatMessage } from 'publint/utils'

import { bundle, gzipBytes } from './bundle.ts'

const root = join(import.meta.dirname, '..')
const pnpm = process.env['npm_execpath'] ?? 'pnpm'
const folder = mkdtempSync(join(tmpdir(), 'longhold-pack-'))

/** Runs to the end in the empty project, or throws with what was said. */
function run(command: string, args: readonly string[], { cwd = folder, input = '' } = {}): string {
  const shown = [command.split('/').at(-1) ?? '', ...args].map((word) => word.slice(0, 70))
  console.log(`$ ${shown.join(' ')}`)
  return execFileSync(command, args, { cwd, input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'inherit'] })
}

function expectEqual(actual: unknown, expected: unknown, what: string): void {
  if (actual !== expected) throw new Error(`${what}: ${String(actual)} instead of ${String(expected)}`)
}

interface Manifest {
  readonly name: string
  readonly version: string
  readonly exports?: Record<string, unknown>
  readonly peerDependencies?: Record<string, string>
}

try {
  const tarballs = packAll()
  for (const tarball of Object.values(tarballs)) await lint(tarball)
  install(tarballs)
  typeCheck()
  importAll(Object.keys(tarballs))
  await bundleForBrowsers()
  useCommand()
  useService()
  refusesNpm()
  console.log('the packages work when installed')
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** @returns The tarball of each package, by name. */
function packAll(): Record<string, string> {
  const tarballs: Record<string, string> = {}
  for (const path of globSync('packages/*/package.json', { cwd: root }).toSorted()) {
    const { name, version } = manifestOf(join(root, path))
    run(pnpm, ['pack', '--pack-destination', folder], { cwd: join(root, path, '..') })
    tarballs[name] = join(folder, `${name.slice(1).replace('/', '-')}-${version}.tgz`)
  }
  return tarballs
}

async function lint(tarball: string): Promise<void> {
  const bytes = new Uint8Array(readFileSync(tarball))
  const { messages, pkg } = await publint({ pack: { tarball: bytes.buffer }, strict: true })
  // A "browser" map it is: pnpm's publishConfig can replace that for the published package, and cannot replace imports.
  const faults = messages.filter(({ code }) => code !== 'USE_EXPORTS_OR_IMPORTS_BROWSER')
  if (faults.length > 0) throw new Error(faults.map((fault) => formatMessage(fault, pkg)).join('\n'))
}

function install(tarballs: Record<string, string>): void {
  const files = Object.fromEntries(Object.entries(tarballs).map(([name, path]) => [name, `file:${path}`]))
  // Optional peers are brought by whoever uses the door that needs them.
  const { peerDependencies = {} } = manifestOf(join(root, 'packages/core/package.json'))
  const dependencies = { ...files, ...peerDependencies }
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module', dependencies }))
  // The packages depend on each other by version, and these versions are published nowhere yet.
  writeFileSync(join(folder, 'pnpm-workspace.yaml'), JSON.stringify({ packages: ['.'], overrides: files }))
  run(pnpm, ['install', '--prod', '--no-frozen-lockfile', '--prefer-offline'])
  for (const name of Object.keys(tarballs)) {
    const own = (file: string) => globSync(join(folder, 'node_modules', name, file)).length
    expectEqual(own('LICENSE'), 1, `${name}: LICENSE`)
    expectEqual(own('README.md'), 1, `${name}: README.md`)
    expectEqual(own('**/*.tsbuildinfo'), 0, `${name}: build state`)
  }
  if (globSync(join(folder, 'node_modules/@longhold/kms/migrations/**/*.sql')).length === 0) {
    throw new Error('@longhold/kms: no migration was packed')
  }
}

/** Strict, every declaration read; core alone without the types of Node, since it also runs elsewhere. */
function typeCheck(): void {
  const options = { noEmit: true, strict: true, skipLibCheck: false, module: 'nodenext', target: 'es2024' }
  const core = `import { decrypt, encrypt, generateIdentity, type Identity } from '@longhold/core'
import { KmsClient, KmsIdentity } from '@longhold/core/kms'
const identity = generateIdentity()
const envelope: Uint8Array = await encrypt(new Uint8Array(3), { recipients: [identity.recipient] })
const identities: Identity[] = [identity]
if ((await decrypt(envelope, { identities })).length !== 3) throw new Error('round trip')
export { KmsClient, KmsIdentity }
`
  writeFileSync(join(folder, 'use-core.ts'), core)
  writeFileSync(join(folder, 'use-kms.ts'), `export * from '@longhold/kms'\n`)
  const check = (name: string, compilerOptions: object) => {
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: [`${name}.ts`] }))
    run(join(root, 'node_modules/.bin/tsc'), ['-p', '.'])
  }
  check('use-core', { ...options, types: [], lib: ['es2024', 'esnext.disposable', 'dom'] })
  // Other people's declarations are not ours to mend.
  check('use-kms', {
    ...options,
    skipLibCheck: true,
    types: ['node'],
    typeRoots: [join(root, 'node_modules/@types')],
  })
}

/** Every door of every package, on the Node of whoever installs it. */
function importAll(names: readonly string[]): void {
  run(process.execPath, ['use-core.ts'])
  const doors = names.flatMap((name) => {
    const { exports = {} } = manifestOf(join(folder, 'node_modules', name, 'package.json'))
    return Object.keys(exports)
      .filter((door) => door !== './package.json')
      .map((door) => `${name}${door.slice(1)}`)
  })
  for (const door of ['@longhold/core', '@longhold/core/kms', '@longhold/kms']) {
    expectEqual(doors.includes(door), true, `${door} can be imported`)
  }
  run(process.execPath, ['--input-type=module', '-e', doors.map((door) => `import '${door}'`).join('\n')])
}

/** The `browser` map of the package is that of what is built. */
async function bundleForBrowsers(): Promise<void> {
  const code = `export { decrypt, encrypt, generateIdentity, parseIdentity, parseRecipient } from '@longhold/core'`
  const bundled = await bundle({ code, folder, minify: true })
  expectEqual(bundled.includes('getBuiltinModule'), false, 'the native backend is in a bundle for browsers')
  const bytes = gzipBytes(bundled)
  if (bytes > 26_000) throw new Error(`a bundle for browsers has ${bytes} bytes, compressed`)
}

function useCommand(): void {
  const { version } = manifestOf(join(folder, 'node_modules/@longhold/cli/package.json'))
  const longhold = (args: readonly string[], input = '') =>
    run(join(folder, 'node_modules/.bin/longhold'), args, { input })
  expectEqual(longhold(['--version']).trim(), version, '--version')
  mkdirSync(join(folder, 'work'))
  const recipient = longhold(['keygen', '-o', 'work/identity.txt']).trim()
  longhold(['encrypt', '-r', recipient, '-c', 'tenant=acme', '-o', 'work/secret.lh'], 'from a tarball\n')
  const opened = longhold(['decrypt', '-i', 'work/identity.txt', '-c', 'tenant=acme', 'work/secret.lh'])
  expectEqual(opened, 'from a tarball\n', 'decrypt')
}

/** Finds its migrations and its writer thread where they are packed. */
function useService(): void {
  const longholdKms = (args: readonly string[]) => run(join(folder, 'node_modules/.bin/longhold-kms'), args)
  longholdKms(['init', '--data-dir', 'work/keys', '--first-key', 'default'])
  const report = longholdKms(['verify-audit', '--data-dir', 'work/keys'])
  expectEqual(report.includes('whole and unaltered'), true, `verify-audit says ${report}`)
}

/** npm ignores publishConfig.exports: what it would publish cannot be imported. */
function refusesNpm(): void {
  for (const path of globSync('packages/*', { cwd: root })) {
    const guard = (agent: string) =>
      execFileSync('sh', ['../../.ci/only-pnpm'], {
        cwd: join(root, path),
        env: { ...process.env, npm_config_user_agent: agent },
        stdio: 'ignore',
      })
    guard('pnpm/12.21.0 npm/? node/?')
    let isRefused = false
    try {
      guard('npm/11.0.0 node/v26.10.0')
    } catch {
      isRefused = true
    }
    expectEqual(isRefused, true, `${path}: npm publish is refused`)
  }
}

function manifestOf(path: string): Manifest {
  return JSON.parse(readFileSync(path, 'utf8')) as Manifest // a package.json has both
}
