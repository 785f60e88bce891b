import { expect, test } from 'vitest'

import { giveBack } from '../../src/shell/memory.ts'
import { pour } from '../../src/shell/output.ts'
import type { Sink } from '../../src/shell/output.ts'

/** A sink that notes what it was given. */
function noting(runBytes: number, noted: string[]): Sink {
  return {
    runBytes,
    async write(...pieces) {
      noted.push(pieces.map((piece) => Buffer.from(piece).toString()).join('|'))
    },
    forget(...pieces) {
      for (const piece of pieces) giveBack(piece)
    },
    async commit() {
      noted.push('commit')
    },
    [Symbol.asyncDispose]: async () => {},
  }
}

async function* piecesOf(text: string): AsyncGenerator<Uint8Array> {
  for (const word of text.split(' ')) yield new TextEncoder().encode(word)
}

test.each([
  [1, ['a', 'bc', 'def', 'g']],
  [3, ['a|bc', 'def', 'g']],
  [4, ['a|bc|def', 'g']],
  [100, ['a|bc|def|g']],
])('pieces are written together until there are %d bytes', async (runBytes, written) => {
  const noted: string[] = []
  const seen: string[] = []
  await pour(piecesOf('a bc def g'), noting(runBytes, noted), (piece) =>
    seen.push(Buffer.from(piece).toString()),
  )
  expect(noted.filter((each) => each !== '')).toEqual([...written, 'commit'])
  expect(seen).toEqual(['a', 'bc', 'def', 'g'])
})

test('nothing is committed when the pieces end with an error, or a write does', async () => {
  const noted: string[] = []
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('a')
    throw new Error('altered')
  }
  await expect(pour(failing(), noting(1, noted), () => {})).rejects.toThrow('altered')
  expect(noted).toEqual(['a'])

  const full: Sink = { ...noting(1, noted), write: async () => await Promise.reject(new Error('disk full')) }
  await expect(pour(piecesOf('b c d'), full, () => {})).rejects.toThrow('disk full')
  expect(noted).toEqual(['a'])
})

test('what was written is given back, and not before; a part of something larger is left alone', async () => {
  const pieces = [new Uint8Array(5).fill(1), new Uint8Array(5).fill(2), new Uint8Array(5).fill(3)]
  const written: number[][] = []
  const sink: Sink = {
    ...noting(10, []),
    async write(...run) {
      await new Promise((resolve) => setImmediate(resolve))
      written.push(run.map(({ length }) => length))
    },
  }
  const large = new Uint8Array(8)
  async function* source(): AsyncGenerator<Uint8Array> {
    yield* pieces
    yield large.subarray(2, 7)
  }
  await pour(source(), sink, () => {})
  expect(written.flat()).toEqual([5, 5, 5, 5])
  expect(pieces.map(({ length }) => length)).toEqual([0, 0, 0])
  expect(large).toHaveLength(8)
})
