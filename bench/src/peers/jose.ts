/**
 * `jose`: compact JWE, `dir` with `A256GCM`.
 *
 * Why this is its fastest path: `dir` has no key management for each message, and the key is a CryptoKey, which saves the
 * import of a JWK or of bytes for each call. The compact form costs no more than the flattened one.
 * A data key is wrapped with ECDH-ES on X25519: it unwraps faster than P-256 and RSA, and RSA alone wraps faster.
 */

import { CompactEncrypt, compactDecrypt, generateKeyPair } from 'jose'

import { checkRecord, type RecordPeer } from './record-peer.ts'
import { wrapPeer, type WrapPeer } from './wrap-peer.ts'

export const joseRecords: RecordPeer = {
  name: 'jose, dir and A256GCM',
  kind: 'peer',
  library: 'jose',
  note: 'binds no context, does not commit to its key',
  async prepare(plaintext) {
    const key = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, [
      'encrypt',
      'decrypt',
    ])
    const encrypt = () =>
      new CompactEncrypt(plaintext).setProtectedHeader({ alg: 'dir', enc: 'A256GCM' }).encrypt(key)
    const decrypt = async (record: string) => (await compactDecrypt(record, key)).plaintext
    const record = await checkRecord('jose', plaintext, encrypt, decrypt)
    return { encrypt, decrypt: () => decrypt(record), recordBytes: record.length }
  },
}

export async function joseWraps(dataKey: Uint8Array): Promise<WrapPeer> {
  const { publicKey, privateKey } = await generateKeyPair('ECDH-ES', { crv: 'X25519' })
  const header = { alg: 'ECDH-ES', enc: 'A256GCM' }
  return await wrapPeer(
    {
      name: 'jose, ECDH-ES on X25519',
      kind: 'peer',
      library: 'jose',
      note: 'X25519 alone, without ML-KEM',
    },
    dataKey,
    () => new CompactEncrypt(dataKey).setProtectedHeader(header).encrypt(publicKey),
    async (wrapped) => (await compactDecrypt(wrapped, privateKey)).plaintext,
  )
}
