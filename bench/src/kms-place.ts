/** A key service that is set up and has something to open: its files, its certificate, requests for it. */

import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import {
  DataKey,
  parseRecipient,
  toBase64url,
  wrapDataKey,
  type Recipient,
} from '../../packages/core/src/index.ts'
import { initService } from '../../packages/kms/src/server/init.ts'
import { writeCertificate } from '../../packages/kms/test/support/certificate.ts'

export const benchKey = 'bench'
export const keyContext = { tenant: 'acme', table: 'notes', purpose: 'bench' }

export interface KmsPlaceOptions {
  /** Where its folder is made; default: the system's place for temporary files. A disk, so that a sync is one. */
  readonly inside?: string | undefined
  /** Of PostgreSQL. */
  readonly database?: string | undefined
}

export class KmsPlace implements Disposable {
  readonly directory: string
  readonly database: string | undefined
  readonly certFile: string
  readonly keyFile: string
  readonly certificate: string
  readonly token: string
  readonly #recipient: Recipient

  private constructor(directory: string, database: string | undefined, token: string, recipient: Recipient) {
    this.directory = directory
    this.database = database
    const { certFile, keyFile, certificate } = writeCertificate(directory)
    this.certFile = certFile
    this.keyFile = keyFile
    this.certificate = certificate.toString()
    this.token = token
    this.#recipient = recipient
  }

  static async make({ inside = tmpdir(), database }: KmsPlaceOptions = {}): Promise<KmsPlace> {
    const directory = mkdtempSync(join(inside, 'longhold-bench-'))
    const { firstKey, tokenFile } = await initService({ dataDir: directory, database, firstKey: benchKey })
    if (firstKey === undefined) throw new Error('there is no first key')
    const token = readFileSync(tokenFile, 'utf8').trim()
    return new KmsPlace(directory, database, token, parseRecipient(firstKey.recipient))
  }

  /** Options of `serve`. */
  serveOptions(): string[] {
    return [
      ...['--data-dir', this.directory, '--tls-cert', this.certFile, '--tls-key', this.keyFile],
      ...(this.database === undefined ? [] : ['--database', this.database]),
    ]
  }

  /** Of another node of the same database, which has files of its own and knows what the first one knows. */
  otherNodeOptions(): string[] {
    const [anchor, socket] = [join(this.directory, 'second.anchor'), join(this.directory, 'second.sock')]
    copyFileSync(join(this.directory, 'anchor.json'), anchor)
    return [...this.serveOptions(), '--anchor', anchor, '--admin-socket', socket]
  }

  async wrappedKeys(count: number): Promise<WrappedKey[]> {
    const made: WrappedKey[] = []
    for (let i = 0; i < count; i++) {
      const dataKey = DataKey.generate()
      const wrappedKey = await wrapDataKey(dataKey, { recipients: [this.#recipient], keyContext })
      made.push({ keyId: dataKey.keyId, wrappedKey, stanza: onlyStanza(wrappedKey) })
    }
    return made
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true })
  }
}

export interface WrappedKey {
  readonly keyId: Uint8Array
  readonly wrappedKey: Uint8Array
  readonly stanza: Uint8Array
}

/** Magic and version, key id, count, the stanza's length, the stanza, a MAC (SPEC §5). */
function onlyStanza(wrappedKey: Uint8Array): Uint8Array {
  const at = 4 + 16 + 1
  const length = new DataView(wrappedKey.buffer, wrappedKey.byteOffset).getUint16(at)
  return wrappedKey.slice(at + 2, at + 2 + length)
}

/** What a client asks: a request without its headers. */
export interface Asked {
  readonly path: string
  readonly body: string
  /** Stands in each right answer. */
  readonly expected: string
}

/** Requests with so many items each. */
export function unwrapRequests(keys: readonly WrappedKey[], itemsEach: number): Asked[] {
  return chunks(keys, itemsEach).map((some) => ({
    path: '/v1/unwrap',
    body: JSON.stringify({
      items: some.map(({ keyId, stanza }, index) => ({
        id: String(index),
        key_id: toBase64url(keyId),
        stanza: toBase64url(stanza),
        context: keyContext,
      })),
    }),
    expected: 'data_key',
  }))
}

export function rewrapRequests(keys: readonly WrappedKey[], itemsEach: number): Asked[] {
  return chunks(keys, itemsEach).map((some) => ({
    path: '/v1/rewrap',
    body: JSON.stringify({
      items: some.map(({ wrappedKey }, index) => ({
        id: String(index),
        wrapped_key: toBase64url(wrappedKey),
        context: keyContext,
      })),
    }),
    expected: 'wrapped_key',
  }))
}

function chunks<T>(all: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.floor(all.length / size) }, (_, index) =>
    all.slice(index * size, (index + 1) * size),
  )
}
