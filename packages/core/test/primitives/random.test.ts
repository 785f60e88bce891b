import { expect, test, vi } from 'vitest'

import { equalBytes, toHex } from '../../src/bytes.ts'
import { randomBytes } from '../../src/primitives/random.ts'

/** Looks at the pool: the platform's generator is handed the very bytes it shall fill. */
function watchingPool<T>(run: (pool: () => Uint8Array) => T): T {
  let pool = new Uint8Array()
  const draw = crypto.getRandomValues.bind(crypto)
  const watched = vi.spyOn(crypto, 'getRandomValues').mockImplementation((array) => {
    if (array instanceof Uint8Array) pool = array as Uint8Array<ArrayBuffer> // what the source passes
    return draw(array)
  })
  try {
    return run(() => pool)
  } finally {
    watched.mockRestore()
  }
}

/** Uses up what is left of the pool, so that the next call draws. */
const exhaust = () => randomBytes(4096)

test.each([0, 1, 24, 32, 64, 4095, 4096, 4097, 65_536, 65_537, 200_000])('%d bytes', (length) => {
  const bytes = randomBytes(length)
  expect(bytes).toHaveLength(length)
  expect(bytes.buffer.byteLength).toBe(length)
})

test('nothing is handed out twice, over many blocks and at lengths that do not divide a block', () => {
  const seen = new Set<string>()
  let drawn = 0
  for (let i = 0; i < 20_000; i++) {
    seen.add(toHex(randomBytes(16 + (i % 23))))
    drawn++
  }
  expect(seen.size).toBe(drawn)
})

test('a long request is random to its last byte', () => {
  const bytes = randomBytes(200_000)
  for (let at = 0; at + 32 <= bytes.length; at += 32) {
    expect(equalBytes(bytes.subarray(at, at + 32), new Uint8Array(32))).toBe(false)
  }
})

test('what was handed out does not stay behind in the pool, and is not the pool itself', () => {
  watchingPool((pool) => {
    exhaust()
    const first = randomBytes(32)
    const rest = new Uint8Array(pool())
    expect(rest).toHaveLength(4096)
    expect(rest.subarray(0, 32)).toEqual(new Uint8Array(32))
    const second = randomBytes(32)
    expect(second).toEqual(rest.subarray(32, 64))
    expect(pool().subarray(0, 64)).toEqual(new Uint8Array(64))
    first.fill(1)
    expect(pool().subarray(0, 64)).toEqual(new Uint8Array(64))
    expect(pool().subarray(64)).toEqual(rest.subarray(64))
  })
})

test('a request that does not fit the rest of a block comes from a new one', () => {
  watchingPool((pool) => {
    exhaust()
    randomBytes(4080)
    const before = new Uint8Array(pool())
    const bytes = randomBytes(17)
    expect(equalBytes(bytes.subarray(0, 16), before.subarray(4080))).toBe(false)
    expect(equalBytes(bytes, new Uint8Array(17))).toBe(false)
    expect(pool().subarray(0, 17)).toEqual(new Uint8Array(17))
  })
})

test('a request that just fits uses the block to its last byte', () => {
  watchingPool((pool) => {
    exhaust()
    randomBytes(4080)
    const before = new Uint8Array(pool())
    expect(randomBytes(16)).toEqual(before.subarray(4080))
    expect(pool()).toEqual(new Uint8Array(4096))
  })
})
