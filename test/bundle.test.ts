/** What an application ships to a browser. */

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { describe, expect, test } from 'vitest'

import { bundle, gzipBytes } from './bundle.ts'

/** Everything a page can do: envelopes, records, typed values, streams, random access, wrapping, keys, texts. */
const everything = `export { DataKey, LocalIdentity, PublicKeyRecipient, Secret, LongholdError, attach, blindIndex,
  canonicalContext, ciphertextSize, decodeValue, decrypt, decryptRecordStream, decryptStream, detach, encodeValue, encrypt,
  encryptRecordStream, encryptStream, fromText, generateIdentity, inspect, keyIdOf, openEncrypted, openEncryptedRecord,
  parseIdentity, parseRecipient, parseStanza, plaintextSize, rewrap, toText, unwrapDataKey, wrapDataKey }
  from '@longhold/core'`
const secondSuite = `export { mlKem1024P384Suite } from '@longhold/core/mlkem1024-p384'`

describe('a bundle for browsers', () => {
  test('of everything but the keyring takes at most 30 kB', async () => {
    const bytes = gzipBytes(await bundle({ code: everything, minify: true }))
    expect(bytes).toBeLessThanOrEqual(30_000)
    expect(bytes).toBeGreaterThan(20_000) // less would not be the library
  })

  test('of an application that encrypts and decrypts takes at most 26 kB', async () => {
    const code = `export { decrypt, encrypt, generateIdentity, parseIdentity, parseRecipient } from '@longhold/core'`
    const bytes = gzipBytes(await bundle({ code, minify: true }))
    expect(bytes).toBeLessThanOrEqual(26_000)
    expect(bytes).toBeGreaterThan(15_000)
  })

  test('of an application that keeps a keyring, its streams with it, takes at most 37 kB', async () => {
    const code = `export { decrypt, encrypt, openKeyring, parseIdentity, parseRecipient } from '@longhold/core'`
    expect(gzipBytes(await bundle({ code, minify: true }))).toBeLessThanOrEqual(37_000)
  })

  test('has the second suite only where it is imported', async () => {
    const one = await bundle({ code: everything })
    const two = await bundle({ code: `${everything}\n${secondSuite}` })
    const label = 'MLKEM1024-P384'
    expect([one.includes(label), two.includes(label)]).toEqual([false, true])
    expect(gzipBytes(two) - gzipBytes(one)).toBeGreaterThan(5000)
  })

  test('asks for no node:crypto, no process and no Buffer, and a neutral one asks at run time', async () => {
    const node = /getBuiltinModule|["'`]node:|\bprocess[.?[]|\bBuffer[.(]/
    const browser = await bundle({ code: `${everything}\n${secondSuite}`, minify: true })
    expect(browser.match(node)).toBeNull()
    const neutral = await bundle({ code: everything, minify: true, platform: 'neutral' })
    expect(neutral.match(/getBuiltinModule/)).not.toBeNull()
    expect(neutral.match(/\bimport\b|\brequire\(|\bBuffer[.(]/)).toBeNull()
  })
})

test('a static import of node: is found', async () => {
  await expect(bundle({ code: `import { hash } from 'node:crypto'; export { hash }` })).rejects.toThrow(
    /node:crypto/,
  )
})

test('what stands in for a module in browsers is there, in sources as in what is published', () => {
  const folder = join(import.meta.dirname, '../packages/core')
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    browser: Record<string, string>
    publishConfig: { browser: Record<string, string> }
  }
  const built = (path: string) => path.replace('./src/', './dist/').replace(/\.ts$/, '.js')
  const sources = Object.entries(manifest.browser)
  expect(sources.length).toBeGreaterThan(0)
  expect(sources.flat().filter((path) => !existsSync(join(folder, path)))).toEqual([])
  expect(manifest.publishConfig.browser).toEqual(Object.fromEntries(sources.map((pair) => pair.map(built))))
})
