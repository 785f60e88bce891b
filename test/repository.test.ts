/** What a stranger may expect of every file in the tree, and no tool of its own checks. */

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { describe, expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')
const self = 'test/repository.test.ts'
const read = (path: string) => readFileSync(join(root, path), 'utf8')

/** Everything but what .gitignore names, and .git; found without git, since an unpacked archive has none. */
const ignored = ['node_modules', 'dist', 'coverage', '.git', '.pnpm-store']
const files = globSync(['**/*', '.*', '.*/**'], {
  cwd: root,
  withFileTypes: true,
  exclude: (entry) => ignored.includes(entry.name),
})
  .filter((entry) => entry.isFile() && !/\.(?:tgz|db|db-\w+|tsbuildinfo|cdx\.json)$/.test(entry.name))
  .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
  .toSorted()
const vectors = (path: string) => path.includes('vectors/') && path.endsWith('.json')
const texts = files.filter(
  (path) => /\.(?:ts|js|json|ya?ml|md|sql|svg|toml)$|^[^.]+$|^\./.test(path) && path !== self,
)

function linesWith(pattern: RegExp, paths: readonly string[]): string[] {
  return paths.flatMap((path) =>
    read(path)
      .split('\n')
      .flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1}: ${line.trim().slice(0, 120)}`] : [])),
  )
}

test('the tree is found', () => {
  expect(files).toEqual(expect.arrayContaining(['README.md', '.ci/run', 'packages/core/src/index.ts', self]))
})

describe('no file names', () => {
  test('a package registry: where packages come from is each machine’s own affair', () => {
    expect(
      linesWith(
        /registry\.(?:npmjs|yarnpkg)|npm\.pkg\.|\/\/registry\b|\/\/[\w.-]*(?:verdaccio|artifactory|nexus)/i,
        texts,
      ),
    ).toEqual([])
  })

  test('a path of one machine', () => {
    expect(
      linesWith(
        /(?:^|[^\w.$}])\/(?:home|Users|root|work|mnt)\/\w/,
        texts.filter((path) => !vectors(path)),
      ),
    ).toEqual([])
  })

  test('something left undone', () => {
    const words =
      /\b(?:TODO|FIXME|XXX|HACK|TBD|WIP)\b|\b(?:for now|(?<!\.)placeholder|not (?:yet )?implemented|lorem ipsum|coming soon)\b/
    expect(
      linesWith(
        words,
        texts.filter((path) => !vectors(path)),
      ),
    ).toEqual([])
  })

  test('a test that does not run, or the only one that does', () => {
    const tests = files.filter(
      (path) => /\.(?:test|contract)\.ts$|\/(?:test|contracts)\//.test(path) && path !== self,
    )
    expect(linesWith(/\b(?:test|it|describe|suite)(?:\.\w+)*\.(?:skip|only|todo|fails)\b/, tests)).toEqual([])
  })

  test('a suppressed type error, but in tests one that is expected and said', () => {
    const sources = texts.filter((path) => path.endsWith('.ts'))
    expect(linesWith(/@ts-(?:ignore|nocheck)\b|@ts-expect-error\s*$/, sources)).toEqual([])
    expect(
      linesWith(
        /@ts-expect-error\b/,
        sources.filter((path) => path.includes('/src/')),
      ),
    ).toEqual([])
  })
})

describe('dependencies', () => {
  const manifests = files.filter((path) => path.endsWith('package.json'))
  const manifestOf = (path: string) => JSON.parse(read(path)) as Manifest // written by hand, in this tree
  const kinds = ['dependencies', 'devDependencies', 'optionalDependencies'] as const
  const exact = /^\d+\.\d+\.\d+(?:-[\w.]+)?$/

  interface Manifest extends Partial<Record<(typeof kinds)[number], Record<string, string>>> {
    readonly license?: string
    readonly private?: boolean
    readonly files?: readonly string[]
    readonly scripts?: Record<string, string>
  }

  test('come from the catalog, or are exact where a package has a lock file of its own', () => {
    const hasOwnLock = (path: string) =>
      path.includes('/') && files.includes(path.replace('package.json', 'pnpm-lock.yaml'))
    const loose = manifests.flatMap((path) =>
      kinds
        .flatMap((kind) => Object.entries(manifestOf(path)[kind] ?? {}))
        .filter(([, range]) =>
          hasOwnLock(path)
            ? !exact.test(range.replace(/^npm:[@\w/-]+@/, '')) && !/^(?:link|file):\.\.\//.test(range)
            : !/^(?:catalog:\w*|workspace:\*)$/.test(range),
        )
        .map(([name, range]) => `${path}: ${name} ${range}`),
    )
    expect(loose).toEqual([])
  })

  test('are exact in the catalog', () => {
    const sections = read('pnpm-workspace.yaml').split(/^(?=\S)/m)
    const catalogs = sections.filter((section) => /^catalogs?:/.test(section)).join('')
    const versions = [...catalogs.matchAll(/^ {2,4}"?([@\w/.-]+)"?: (.+)$/gm)]
    expect(versions.length).toBeGreaterThan(20)
    expect(
      versions.filter(([, , version = '']) => !exact.test(version)).map(([line]) => line.trim()),
    ).toEqual([])
  })

  test('are locked without an address', () => {
    const locks = files.filter((path) => path.endsWith('pnpm-lock.yaml'))
    expect(locks).toContain('pnpm-lock.yaml')
    expect(linesWith(/https?:/, locks)).toEqual([])
  })

  test('and everything here is under one licence', () => {
    expect(read('LICENSE')).toMatch(/Apache License\s+Version 2\.0, January 2004/)
    expect(manifests.filter((path) => manifestOf(path).license !== 'Apache-2.0')).toEqual([])
  })

  test('a package that is published packs what it needs and refuses plain npm', () => {
    for (const path of manifests.filter((name) => /^packages\/[\w-]+\/package\.json$/.test(name))) {
      const { files: packed = [], scripts = {}, private: isPrivate } = manifestOf(path)
      expect(isPrivate, path).toBeUndefined()
      const migrations = globSync(join(root, path, '../migrations')).map(() => 'migrations')
      expect(packed, path).toEqual(
        expect.arrayContaining(['dist', 'src', '!**/*.tsbuildinfo', ...migrations]),
      )
      expect(scripts['prepublishOnly'], path).toBe('sh ../../.ci/only-pnpm')
    }
  })
})

test('no source file is so long that a reader loses the thread', () => {
  const long = files
    .filter((path) => /^(?:packages|examples)\/[\w-]+\/src\/.*\.ts$|^bench\/src\/.*\.ts$/.test(path))
    .map((path) => [path, read(path).trimEnd().split('\n').length] as const)
    .filter(([, lines]) => lines > 400)
  expect(long).toEqual([])
})
