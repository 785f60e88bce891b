/** Bundles as an application would, for runtimes without a file system and to know their size. */

import { readFileSync, readdirSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

import { rolldown } from 'rolldown'

const root = join(import.meta.dirname, '..')
const entryId = 'entry.ts'

/** An application of one module. `code` imports by package name, or by path from its folder. */
export interface Application {
  readonly code: string
  /** What `import text from 'text:NAME'` gives. */
  readonly texts?: Readonly<Record<string, string>>
  readonly minify?: boolean
  /** The folder it stands in, from which packages are found. */
  readonly folder?: string
  /** `neutral` is for runtimes that are no browser: the `browser` fields of packages are not theirs. */
  readonly platform?: 'browser' | 'neutral'
}

/**
 * One ESM file without imports.
 *
 * @throws Error for an import that cannot be resolved, and for every `node:` import: browsers have none.
 */
export async function bundle({
  code,
  texts = {},
  minify = false,
  platform = 'browser',
  folder = root,
}: Application): Promise<string> {
  const build = await rolldown({
    input: entryId,
    cwd: folder,
    platform,
    onLog(level, { message }) {
      if (level === 'warn') throw new Error(message)
    },
    plugins: [
      {
        name: 'application',
        resolveId(id, importer) {
          if (id === entryId || id.startsWith('text:')) return `\0${id}`
          if (isBuiltin(id)) throw new Error(`${importer} imports ${id}`)
          return importer?.startsWith('\0') ? this.resolve(id, join(folder, entryId)) : null
        },
        load(id) {
          if (id === `\0${entryId}`) return { code, moduleType: 'ts' }
          return id.startsWith('\0text:') ? `export default ${JSON.stringify(texts[id.slice(6)])}` : null
        },
      },
    ],
  })
  const { output } = await build.generate({ format: 'esm', minify, codeSplitting: false })
  const [chunk] = output
  if (output.length !== 1) throw new Error(`${output.length} files instead of one`)
  return chunk.code
}

/** Bytes as a server sends them. */
export function gzipBytes(code: string): number {
  return gzipSync(code, { level: 9 }).length
}

/** Exports `run()`, which gives a report of all our vectors (`test/vectors/everywhere.ts`). */
export function bundleVectors(platform: 'browser' | 'neutral'): Promise<string> {
  const folder = join(root, 'test/vectors')
  const files = ['longhold', 'published'].flatMap((name) =>
    readdirSync(join(folder, name))
      .filter((file) => file.endsWith('.json'))
      .map((file) => `${name}/${file}`),
  )
  const contents = files.map((file): unknown => JSON.parse(readFileSync(join(folder, file), 'utf8')))
  const byName = Object.fromEntries(files.map((file, i) => [file, contents[i]]))
  return bundle({
    platform,
    code: `import { runEverywhere } from './test/vectors/everywhere.ts'
      import files from 'text:vectors'
      export const run = () => runEverywhere(JSON.parse(files))`,
    texts: { vectors: JSON.stringify(byName) },
  })
}
