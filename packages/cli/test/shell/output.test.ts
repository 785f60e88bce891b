import { expect, test } from 'vitest'

import { pour } from '../../src/shell/output.ts'
import type { Sink } from '../../src/shell/output.ts'

/** A sink that notes what it was given. */
function noting(runBytes: number, noted: string[]): Sink {
  return {
    runBytes,
    async write(...pieces) {
      noted.push(pieces.map((piece) => Buffer.from(piece).toString()).join('|'))
    },
    async commit() {
      noted.push('commit')
    },
    [Symbol.asyncDispose]: async () => {},
  }
}

async function* piecesOf(text: string): AsyncGenerator<Uint8Array> {
  for (const word of text.split(' ')) yield Buffer.from(word)
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
