/** Longhold's streams on node:crypto, one envelope for one recipient: as web streams, and as node streams by the standard adapter. */

import { Duplex } from 'node:stream'

import { LocalIdentity, decryptStream, encryptStream } from '../../../packages/core/src/index.ts'
import type { ByteTransform } from '../../../packages/core/src/index.ts'
import { testingUseBackend } from '../../../packages/core/src/primitives/backend.ts'
import { recordContext as context } from './record-peer.ts'
import { collected, expectPlaintext, nodePass, pieceBytes, webPass, type StreamPeer } from './stream-peer.ts'

type See = (piece: Uint8Array) => void

export const streamNames = {
  web: 'longhold, web streams',
  webLarge: 'longhold, web streams, pieces of 1 MiB',
  node: 'longhold, node streams',
}

export async function longholdStreams(plaintext: Uint8Array): Promise<StreamPeer[]> {
  testingUseBackend('native')
  const identity = LocalIdentity.generate()
  const encrypting = () => encryptStream({ recipients: [identity.recipient], context })
  const decrypting = () => decryptStream({ identities: [identity], context })
  const web = (size: number) => ({
    encrypt: (see?: See) => webPass(plaintext, size, (source) => source.pipeThrough(encrypting()), see),
    decrypt: (see?: See) => webPass(envelope, size, (source) => source.pipeThrough(decrypting()), see),
  })
  const node = {
    encrypt: (see?: See) => nodePass(plaintext, pieceBytes, asDuplex(encrypting()), see),
    decrypt: (see?: See) => nodePass(envelope, pieceBytes, asDuplex(decrypting()), see),
  }
  const ways = [
    { name: streamNames.web, ...web(pieceBytes) },
    { name: streamNames.node, ...node },
    { name: streamNames.webLarge, ...web(1024 * 1024) },
  ]
  let envelope: Uint8Array = new Uint8Array()
  const peers: StreamPeer[] = []
  for (const { name, encrypt, decrypt } of ways) {
    envelope = await collected(encrypt)
    await expectPlaintext(name, plaintext, decrypt)
    peers.push({
      name,
      kind: 'ours',
      library: 'longhold',
      encrypt: () => encrypt(),
      decrypt: () => decrypt(),
      streamBytes: envelope.length,
    })
  }
  return peers
}

function asDuplex(transform: ByteTransform): Duplex {
  // The types of the DOM and of Node do not agree about one class that is the same at run time.
  return Duplex.fromWeb(transform as unknown as Parameters<typeof Duplex.fromWeb>[0])
}
