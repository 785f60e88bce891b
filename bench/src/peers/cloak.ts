/**
 * `@47ng/cloak`, which encrypts the fields of prisma-field-encryption: AES-256-GCM with random nonces directly under the
 * key, text in and text out.
 *
 * Why this is its fastest path: the synchronous functions, which run on node:crypto, with the key parsed beforehand.
 */

import { decryptStringSync, encryptStringSync, generateKey, parseKeySync } from '@47ng/cloak'

import { checkRecord, type RecordPeer } from './record-peer.ts'

export const cloakRecords: RecordPeer = {
  name: '@47ng/cloak, synchronous',
  kind: 'peer',
  library: '@47ng/cloak',
  note: 'binds no context, does not commit to its key, text only',
  async prepare(plaintext) {
    const key = parseKeySync(generateKey())
    const text = Buffer.from(plaintext).toString('latin1')
    const encrypt = () => encryptStringSync(text, key)
    const record = await checkRecord('cloak', plaintext, encrypt, (made) => decryptStringSync(made, key))
    return { encrypt, decrypt: () => decryptStringSync(record, key), recordBytes: record.length }
  },
}
