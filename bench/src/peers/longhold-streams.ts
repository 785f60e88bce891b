/** Longhold's streams on node:crypto, one envelope for one recipient: as web streams, as node streams, and as the ones by the standard adapter. */

import { Duplex } from 'node:stream'

import { LocalIdentity, decryptStream, encryptStream } from '../../../packages/core/src/index.ts'
import type { ByteTransform } from '../../../packages/core/src/index.ts'
import { decryptTransform, encryptTransform } from '../../../packages/core/src/node/index.ts'
import { testingUseBackend } from '../../../packages/core/src/primitives/backend.ts'
import { recordContext as context } from './record-peer.ts'
import { collected, expectPlaintext, nodePass, pieceBytes, webPass, type StreamPeer } from './stream-peer.ts'

type See = (piece: Uint8Array) => void

export const streamNames = {
  web: 'longhold, web streams',
  webLarge: 'longhold, web streams, pieces of 1 MiB',
  node: 'longhold, node streams',
  adapted: 'longhold, web streams as node streams',
}

export async function longholdStreams(plaintext: Uint8Array): Promise<StreamPeer[]> {
  testingUseBackend('native')
  const identity = LocalIdentity.generate()
  const writing = { recipients: [identity.recipient], context }
  const reading = { identities: [identity], context }
  const encrypting = () => encryptStream(writing)
  const decrypting = () => decryptStream(reading)
  const web = (size: number) => ({
    encrypt: (see?: See) => webPass(plaintext, size, (source) => source.pipeThrough(encrypting()), see),
    decrypt: (see?: See) => webPass(envelope, size, (source) => source.pipeThrough(decrypting()), see),
  })
  const node = {
    encrypt: (see?: See) => nodePass(plaintext, pieceBytes, encryptTransform(writing), see),
    decrypt: (see?: See) => nodePass(envelope, pieceBytes, decryptTransform(reading), see),
  }
  const adapted = {
    encrypt: (see?: See) => nodePass(plaintext, pieceBytes, asDuplex(encrypting()), see),
    decrypt: (see?: See) => nodePass(envelope, pieceBytes, asDuplex(decrypting()), see),
  }
  const ways = [
    { name: streamNames.web, ...web(pieceBytes) },
    { name: streamNames.node, ...node },
    { name: streamNames.adapted, ...adapted },
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
