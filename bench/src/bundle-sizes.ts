/**
 * What a page loads for each library: an application that encrypts and decrypts one message, bundled and minified by
 * rolldown for browsers and compressed with gzip at its highest level. A module of Node that a library asks for is an empty
 * one, as bundlers for browsers have it: what it would weigh as a polyfill is not held against anybody.
 */

import { isBuiltin } from 'node:module'
import { fileURLToPath } from 'node:url'

import { rolldown } from 'rolldown'

import { gzipBytes } from '../../test/bundle.ts'

/** What the application imports. All of it together is enough for a round trip in a browser. */
const applications: Readonly<Record<string, string>> = {
  longhold: `export { decrypt, encrypt, generateIdentity, parseIdentity, parseRecipient } from '@longhold/core'`,
  'age-encryption': `export { Decrypter, Encrypter, generateHybridIdentity, identityToRecipient } from 'age-encryption'`,
  '@aws-crypto/client-browser': `export { RawAesKeyringWebCrypto, RawAesWrappingSuiteIdentifier,
    WebCryptoCachingMaterialsManager, buildClient, getLocalCryptographicMaterialsCache } from '@aws-crypto/client-browser'`,
  jose: `export { CompactEncrypt, compactDecrypt } from 'jose'`,
  hpke: `export { AEAD_AES_256_GCM, CipherSuite, KDF_HKDF_SHA256, KEM_MLKEM768_X25519 } from 'hpke'`,
  '@hpke/core': `export { Aes256Gcm, CipherSuite, HkdfSha256 } from '@hpke/core'
    export { XWing } from '@hpke/hybridkem-x-wing'`,
  'libsodium-wrappers': `import sodium from 'libsodium-wrappers'; export { sodium }`,
  '@47ng/cloak': `export { decryptString, encryptString, generateKey } from '@47ng/cloak'`,
}

const notes: Readonly<Record<string, string>> = {
  hpke: 'leaves ML-KEM to a browser whose WebCrypto has it',
}

export interface BundleSize {
  readonly library: string
  readonly gzipBytes: number
  readonly note: string | undefined
}

/** In the order of the table above. */
export async function bundleSizes(): Promise<BundleSize[]> {
  const sizes: BundleSize[] = []
  for (const [library, code] of Object.entries(applications)) {
    const { output, builtins } = await bundle(library === 'longhold' ? '../..' : '..', code)
    const note = builtins.length > 0 ? `without ${builtins.join(', ')}` : notes[library]
    sizes.push({ library, gzipBytes: gzipBytes(output), note })
  }
  return sizes
}

async function bundle(folder: string, code: string): Promise<{ output: string; builtins: string[] }> {
  const builtins = new Set<string>()
  const build = await rolldown({
    input: 'entry',
    cwd: fileURLToPath(new URL(folder, import.meta.url)),
    platform: 'browser',
    logLevel: 'silent',
    plugins: [
      {
        name: 'application',
        resolveId(id, importer) {
          if (id === 'entry') return '\0entry'
          if (isBuiltin(id)) {
            builtins.add(id)
            return '\0builtin'
          }
          // What the application itself imports is looked for from its folder.
          return importer === '\0entry' ? this.resolve(id, undefined) : null
        },
        load(id) {
          if (id === '\0entry') return { code, moduleType: 'js' }
          return id === '\0builtin' ? 'module.exports = {}' : null
        },
      },
    ],
  })
  const { output } = await build.generate({ format: 'esm', minify: true, codeSplitting: false })
  return { output: output[0].code, builtins: [...builtins].toSorted() }
}
