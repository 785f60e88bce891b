/**
 * The TypeScript of the documentation as programs. Each block is one module of its own: a fence ```ts is
 * type-checked and run, ```ts no-run is type-checked only (it needs a service, a database, a browser).
 */

import { execFile } from 'node:child_process'
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { promisify } from 'node:util'

export interface Block {
  /** `README.md:12`, where the fence opens. */
  readonly name: string
  readonly code: string
  readonly isRun: boolean
}

const documents = ['*.md', 'docs/**/*.md', 'packages/*/*.md', 'examples/*/*.md', 'bench/*.md']

/** The documents themselves: not what is installed or built beside them. */
export function documentPaths(root: string, patterns: readonly string[] = documents): string[] {
  const exclude = (path: string) => /(?:^|\/)(?:node_modules|dist)$/.test(path)
  return globSync([...patterns], { cwd: root, exclude }).toSorted()
}

/** @throws Error for a fence that is never closed, or words after `ts` other than `no-run`. */
export function readBlocks(root: string, patterns: readonly string[] = documents): Block[] {
  return documentPaths(root, patterns).flatMap((path) =>
    blocksOf(path, readFileSync(join(root, path), 'utf8')),
  )
}

export function blocksOf(path: string, markdown: string): Block[] {
  const blocks: Block[] = []
  let open: { line: number; fence: string; info: string[]; code: string[] } | undefined
  for (const [i, line] of markdown.split('\n').entries()) {
    const [, fence = '', info = ''] = /^\s*(`{3,})(.*)$/.exec(line) ?? []
    if (open === undefined) {
      if (fence !== '') open = { line: i + 1, fence, info: info.trim().split(/\s+/), code: [] }
    } else if (fence === open.fence && info.trim() === '') {
      const block = asBlock(`${path}:${open.line}`, open.info, open.code)
      if (block !== undefined) blocks.push(block)
      open = undefined
    } else open.code.push(line)
  }
  if (open !== undefined) throw new Error(`${path}:${open.line}: the code block is never closed`)
  return blocks
}

function asBlock(name: string, [language = '', ...words]: readonly string[], code: readonly string[]) {
  if (language === 'typescript') throw new Error(`${name}: write \`\`\`ts`)
  if (language !== 'ts') return undefined
  const unknown = words.filter((word) => word !== 'no-run')
  if (unknown.length > 0)
    throw new Error(`${name}: ${unknown.join(' ')} is unknown after ts; no-run is the one word`)
  return { name, code: `${code.join('\n')}\n`, isRun: words.length === 0 }
}

export interface Checked {
  /** What the compiler says, with the documents' own names and lines; empty when all is well. */
  readonly errors: string
  /** Runs one block as a program. @throws when it ends with an error. */
  run(block: Block): Promise<{ stdout: string; stderr: string }>
  /** Takes the programs away. */
  remove(): void
}

/** Type-checks all blocks together and leaves the programs, without types, in a folder of their own. */
export async function compile(root: string, blocks: readonly Block[]): Promise<Checked> {
  // Inside node_modules, so that `@longhold/*` resolves as it does for an application.
  mkdirSync(join(root, 'node_modules/.cache'), { recursive: true })
  const folder = mkdtempSync(join(root, 'node_modules/.cache/docs-'))
  const fileOf = (block: Block) => block.name.replace(/\W+/g, '-')
  for (const block of blocks) writeFileSync(join(folder, `${fileOf(block)}.ts`), block.code)
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({
      extends: relative(folder, join(root, 'tsconfig.base.json')),
      compilerOptions: {
        types: ['node'],
        lib: ['es2024', 'esnext.disposable', 'dom'],
        declaration: false,
        noUnusedLocals: false,
        noEmitOnError: false, // one wrong block must not hide what the others do
        rootDir: '.',
        outDir: 'programs',
      },
      files: blocks.map((block) => `${fileOf(block)}.ts`),
    }),
  )
  const said = await tsc(root, folder)
  return {
    errors: blocks.reduce((text, block) => withOwnLines(text, `${fileOf(block)}.ts`, block.name), said),
    run: (block) =>
      promisify(execFile)(process.execPath, [join(folder, 'programs', `${fileOf(block)}.js`)], {
        cwd: folder,
      }),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

async function tsc(root: string, folder: string): Promise<string> {
  const bin = join(root, 'node_modules/typescript/bin/tsc')
  try {
    await promisify(execFile)(process.execPath, [bin, '-p', folder, '--pretty', 'false'], { cwd: folder })
    return ''
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string } // what execFile adds to its errors
    return (stdout ?? '') + (stderr ?? '') || String(error)
  }
}

/** `README-md-12.ts(3,5)` is line 15 of README.md. */
function withOwnLines(text: string, file: string, name: string): string {
  const [path = '', opens = '0'] = name.split(':')
  return text.replaceAll(new RegExp(`^${file.replace('.', '\\.')}\\((\\d+),`, 'gm'), (_, line: string) => {
    return `${path}(${Number(opens) + Number(line)},`
  })
}
