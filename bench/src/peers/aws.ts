/**
 * `@aws-crypto/client-node`, the AWS Encryption SDK, with a raw AES keyring: no service is asked.
 *
 * Why this is its fastest path: a caching materials manager whose limits are never reached, so that one data key is wrapped
 * once and serves all messages, on both sides; of the suites that commit to their key the one without ECDSA signatures;
 * plaintexts given whole, because only then may the cache be used; frames of 1 MiB, the fastest of 4 KiB (its default), 64 KiB,
 * 256 KiB and 1 MiB.
 */

import { Readable } from 'node:stream'

import {
  AlgorithmSuiteIdentifier,
  CommitmentPolicy,
  NodeCachingMaterialsManager,
  RawAesKeyringNode,
  RawAesWrappingSuiteIdentifier,
  buildClient,
  getLocalCryptographicMaterialsCache,
} from '@aws-crypto/client-node'

import { Window, type ReadPeer } from './read-peer.ts'
import { checkRecord, recordContext, type RecordPeer } from './record-peer.ts'
import { collected, expectPlaintext, nodePass, pieceBytes, piecesOf, type StreamPeer } from './stream-peer.ts'
import { wrapPeer, type WrapPeer } from './wrap-peer.ts'

const client = buildClient({
  commitmentPolicy: CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
  maxEncryptedDataKeys: 1,
})
const how = {
  suiteId: AlgorithmSuiteIdentifier.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY,
  frameLength: 1_048_576,
}

function newKeyring() {
  return new RawAesKeyringNode({
    keyNamespace: 'bench',
    keyName: 'key',
    unencryptedMasterKey: crypto.getRandomValues(new Uint8Array(32)),
    wrappingSuite: RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING,
  })
}

function newMaterials() {
  return new NodeCachingMaterialsManager({
    backingMaterials: newKeyring(),
    cache: getLocalCryptographicMaterialsCache(1000),
    partition: 'bench',
    maxAge: 24 * 3600 * 1000,
    maxMessagesEncrypted: 2 ** 32,
    maxBytesEncrypted: Number.MAX_SAFE_INTEGER,
  })
}

export const awsRecords: RecordPeer = {
  name: '@aws-crypto/client-node, caching',
  kind: 'peer',
  library: '@aws-crypto/client-browser',
  async prepare(plaintext) {
    const materials = newMaterials()
    const encrypt = async () =>
      (await client.encrypt(materials, plaintext, { ...how, encryptionContext: recordContext })).result
    const decrypt = async (record: Uint8Array) => (await client.decrypt(materials, record)).plaintext
    const record = await checkRecord('AWS', plaintext, encrypt, decrypt)
    return { encrypt, decrypt: () => decrypt(record), recordBytes: record.length }
  },
}

/** Node streams; the key is wrapped and unwrapped by the raw keyring, once for each stream. */
export async function awsStreams(plaintext: Uint8Array): Promise<StreamPeer> {
  const keyring = newKeyring()
  const name = '@aws-crypto/client-node, frames of 1 MiB'
  const encrypt = (see?: (piece: Uint8Array) => void) => {
    const transform = client.encryptStream(keyring, { ...how, encryptionContext: recordContext })
    return nodePass(plaintext, pieceBytes, transform, see)
  }
  const decrypt = (see?: (piece: Uint8Array) => void) =>
    nodePass(message, pieceBytes, client.decryptStream(keyring), see)
  const message = await collected(encrypt)
  await expectPlaintext(name, plaintext, decrypt)
  return {
    name,
    kind: 'peer',
    library: '@aws-crypto/client-browser',
    note: 'wraps under a symmetric key; releases a frame at its end',
    encrypt: () => encrypt(),
    decrypt: () => decrypt(),
    streamBytes: message.length,
  }
}

/** Frames are released in their order alone, so those before the place are opened too. */
export async function awsReads(plaintext: Uint8Array): Promise<ReadPeer> {
  const keyring = newKeyring()
  const transform = client.encryptStream(keyring, { ...how, encryptionContext: recordContext })
  const message = await collected((see) => nodePass(plaintext, pieceBytes, transform, see))
  return {
    name: '@aws-crypto/client-node, frames of 1 MiB',
    library: '@aws-crypto/client-browser',
    async read(at, length) {
      const reader = new Window(at, length)
      const source = Readable.from(piecesOf(message, pieceBytes), { objectMode: false })
      const opened: AsyncIterable<Uint8Array> = source.pipe(client.decryptStream(keyring))
      for await (const piece of opened) if (reader.add(piece)) break
      source.destroy()
      return reader.bytes
    },
  }
}

/** No cache: each message of 32 bytes wraps its data key. */
export async function awsWraps(dataKey: Uint8Array): Promise<WrapPeer> {
  const keyring = newKeyring()
  return await wrapPeer(
    {
      name: '@aws-crypto/client-node, raw AES keyring',
      kind: 'peer',
      library: '@aws-crypto/client-browser',
      note: 'under a symmetric key; a message of 32 bytes, whose data key is wrapped',
    },
    dataKey,
    async () => (await client.encrypt(keyring, dataKey, { ...how, encryptionContext: recordContext })).result,
    async (message) => (await client.decrypt(keyring, message)).plaintext,
  )
}
