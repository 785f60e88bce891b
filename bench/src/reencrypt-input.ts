/** The old data: values of 256 bytes as JWE compact, RSA-OAEP-256 and A256GCM, in a table or in NDJSON. */

import { constants, createCipheriv, publicEncrypt, randomBytes, type KeyObject } from 'node:crypto'
import { closeSync, openSync, writeSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'

const header = Buffer.from(JSON.stringify({ alg: 'RSA-OAEP-256', enc: 'A256GCM' })).toString('base64url')
const valueBytes = 256
/** Rows in one transaction or one write. */
const portion = 2000

export interface WrappedKey {
  readonly contentKey: Uint8Array
  readonly wrapped: Uint8Array
}

/** Content keys with their RSA wrap. Rows share them in turn: nothing remembers what it unwrapped, and making one
 *  for each row would take as long as the benchmark. */
export function makeWrappedKeys(publicKey: KeyObject, count: number): WrappedKey[] {
  return Array.from({ length: count }, () => {
    const contentKey = randomBytes(32)
    const options = { key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }
    return { contentKey, wrapped: publicEncrypt(options, contentKey) }
  })
}

/** A table `notes` with an integer key and the values in its column `body`. */
export function writeTable(path: string, rows: number, keys: readonly WrappedKey[]): void {
  const database = new DatabaseSync(path)
  database.exec('PRAGMA journal_mode = WAL; CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT NOT NULL)')
  const insert = database.prepare('INSERT INTO notes (id, body) VALUES (?, ?)')
  for (let from = 0; from < rows; from += portion) {
    database.exec('BEGIN')
    for (let row = from; row < Math.min(rows, from + portion); row++) insert.run(row + 1, valueOf(row, keys))
    database.exec('COMMIT')
  }
  database.close()
}

/** Lines `{"id":…,"body":…}`. */
export function writeNdjson(path: string, rows: number, keys: readonly WrappedKey[]): void {
  const file = openSync(path, 'wx')
  for (let from = 0; from < rows; from += portion) {
    const lines: string[] = []
    for (let row = from; row < Math.min(rows, from + portion); row++) {
      lines.push(`${JSON.stringify({ id: row + 1, body: valueOf(row, keys) })}\n`)
    }
    writeSync(file, lines.join(''))
  }
  closeSync(file)
}

/** RFC 7516 §7.1. */
function valueOf(row: number, keys: readonly WrappedKey[]): string {
  const key = keys[row % keys.length]
  if (key === undefined) throw new RangeError('no wrapped keys')
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key.contentKey, iv, { authTagLength: 16 })
  cipher.setAAD(Buffer.from(header))
  const ciphertext = Buffer.concat([cipher.update(randomBytes(valueBytes)), cipher.final()])
  const parts = [key.wrapped, iv, ciphertext, cipher.getAuthTag()]
  return [header, ...parts.map((part) => Buffer.from(part).toString('base64url'))].join('.')
}
