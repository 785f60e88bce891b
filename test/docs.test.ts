import { readFileSync, globSync } from 'node:fs'
import { join } from 'node:path'

import { afterAll, describe, expect, test } from 'vitest'

import { blocksOf, compile, documentPaths, readBlocks } from './docs-blocks.ts'

const root = join(import.meta.dirname, '..')
const blocks = readBlocks(root)
const checked = await compile(root, blocks)
afterAll(() => checked.remove())

test('every TypeScript block of the documentation type-checks', () => {
  expect(checked.errors).toBe('')
  expect(blocks.map((block) => block.name).filter((name) => name.startsWith('README.md:'))).not.toEqual([])
})

describe('a block runs as it stands', () => {
  test.each(blocks.filter((block) => block.isRun))('$name', async (block) => {
    const { stderr } = await checked.run(block)
    expect(stderr).toBe('')
  })
})

test('a block that does not type-check is reported with its own line', async () => {
  const [block] = blocksOf('guide.md', 'Text\n\n```ts\nconst n: number = 1\nconst text: string = n\n```\n')
  if (block === undefined) throw new Error('no block')
  const wrong = await compile(root, [block])
  wrong.remove()
  expect(wrong.errors).toMatch(/^guide\.md\(5,7\): error TS2322/)
})

test('which fences are blocks', () => {
  const names = (markdown: string) => blocksOf('x.md', markdown).map(({ name, isRun }) => `${name} ${isRun}`)
  expect(names('```ts\n1\n```\n```ts no-run\n2\n```\n```sh\n3\n```\n')).toEqual([
    'x.md:1 true',
    'x.md:4 false',
  ])
  expect(names('````md\n```ts\nshown, not run\n```\n````\n')).toEqual([])
  expect(() => names('```ts norun\n```\n')).toThrow('x.md:1: norun is unknown after ts')
  expect(() => names('```ts\n')).toThrow('x.md:1: the code block is never closed')
})

test('every link to a file of the repository leads somewhere', () => {
  const broken = documentPaths(root).flatMap((path) => {
    const links = [...readFileSync(join(root, path), 'utf8').matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)]
    return links
      .map(([, target = '']) => target)
      .filter((target) => globSync(target, { cwd: join(root, path, '..') }).length === 0)
      .map((target) => `${path}: ${target}`)
  })
  expect(broken).toEqual([])
})

test('and every link to a heading, to one that is there', () => {
  const slugs = (path: string) =>
    readFileSync(path, 'utf8')
      .split('\n')
      .filter((line) => /^#+ /.test(line))
      .map((line) => line.replace(/^#+ /, '').toLowerCase())
      .map((heading) => heading.replaceAll(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-'))
  const broken = documentPaths(root).flatMap((path) => {
    const links = [
      ...readFileSync(join(root, path), 'utf8').matchAll(/\]\((?!https?:|mailto:)([^)#\s]*)#([^)\s]+)/g),
    ]
    return links
      .filter(([, target = '', slug = '']) => {
        const file = target === '' ? join(root, path) : join(root, path, '..', target)
        return !slugs(file).includes(slug)
      })
      .map(([link]) => `${path}: ${link}`)
  })
  expect(broken).toEqual([])
})
