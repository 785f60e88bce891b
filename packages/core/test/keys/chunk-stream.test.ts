import { expect, test } from 'vitest'

import { concat } from '../../src/bytes.ts'
import { ChunkOpener, ChunkSealer } from '../../src/keys/chunk-stream.ts'
import { backend } from '../../src/primitives/backend.ts'
import { chunkBytes, MessageCipher, sealedChunkBytes } from '../../src/primitives/cobblestone.ts'
import { describeBackends } from '../backends.ts'
import { changed, filled, patterned } from '../samples.ts'

const cipher = () => new MessageCipher(backend().hmac('sha512', filled(1)), filled(2, 24), [])

function sealed(plaintext: Uint8Array): Uint8Array {
  const sealer = new ChunkSealer(cipher())
  return concat(...sealer.push(plaintext), sealer.finish())
}

/** What came out before it failed, and the code it failed with. */
function opened(bytes: Uint8Array): { out: Uint8Array[]; code: unknown } {
  const opener = new ChunkOpener(cipher())
  const out: Uint8Array[] = []
  try {
    for (const run of opener.push(bytes)) out.push(run)
    out.push(opener.finish())
    return { out, code: undefined }
  } catch (error) {
    return { out, code: (error as { code?: unknown }).code } // whatever it is, it is compared
  }
}

describeBackends(() => {
  const plaintext = patterned(3 * chunkBytes + 5)

  test('chunks that come together go on together', () => {
    const { out, code } = opened(sealed(plaintext))
    expect(code).toBeUndefined()
    expect(out.map(({ length }) => length)).toEqual([3 * chunkBytes, 5])
    expect(concat(...out)).toEqual(plaintext)
  })

  test.each([0, 1, 2])('nothing is released of what comes together with chunk %i, which was altered', (i) => {
    const altered = changed(sealed(plaintext), i * sealedChunkBytes, 1)
    expect(opened(altered)).toEqual({ out: [], code: 'cannot_open' })
  })

  test('more than 64 chunks at once are made a mebibyte at a time, as they are asked for', () => {
    const long = patterned(130 * chunkBytes)
    const sealer = new ChunkSealer(cipher())
    expect([...sealer.push(filled(3, 5))]).toEqual([])
    const made = [...sealer.push(long)].map(({ length }) => length / sealedChunkBytes)
    expect(made).toEqual([64, 64, 2])
    const whole = sealed(long)
    expect(Buffer.compare(concat(...opened(whole).out), long)).toBe(0)
    const { out, code } = opened(changed(whole, 70 * sealedChunkBytes, 1))
    expect(code).toBe('cannot_open')
    expect(Buffer.compare(concat(...out), long.subarray(0, 64 * chunkBytes))).toBe(0)
  })

  test('a final chunk without a byte has a tag all the same', () => {
    const whole = sealed(patterned(2 * chunkBytes))
    expect(concat(...opened(whole).out)).toEqual(patterned(2 * chunkBytes))
    expect(opened(changed(whole, whole.length - 1, 1)).code).toBe('cannot_open')
    expect(opened(whole.subarray(0, 2 * sealedChunkBytes)).code).toBe('cannot_open')
  })

  test('after wipe nothing is sealed any more', () => {
    const sealer = new ChunkSealer(cipher())
    expect([...sealer.push(filled(3, 100))]).toEqual([])
    sealer.wipe()
    expect(() => sealer.finish()).toThrow('the key of this message was wiped')
  })
})
