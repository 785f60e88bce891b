/** `FILE.keys.ndjson`: the wrapped data keys of the records in FILE (SPEC §12), replaced whole or not at all. */

import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

import { fromBase64url, fromText, toBase64url, toText } from '@longhold/core'

import { isObject, parseStrictObject } from '../json-text.ts'
import { fileProblem, Problem } from './problem.ts'
import type { StoredDataKey } from './row-source.ts'

/** A line of the file. */
interface KeyLine {
  readonly key_id: string
  /** Text form. */
  readonly wrapped_key: string
  readonly key_context: Readonly<Record<string, string>>
  readonly name: string | null
  readonly state: StoredDataKey['state']
  readonly messages: number
  readonly bytes: number
  readonly created_at: string
  readonly updated_at: string
  /** What a keyring key vouches for it with (SPEC §12.1), in base64url; of one that is there it stays as it is. */
  readonly tag?: string
}

interface KeyLines {
  readonly keys: Map<string, KeyLine>
  /** Lines of destroyed keys by key id, as they stand there. */
  readonly destroyed: ReadonlyMap<string, string>
}

export class DataKeyFile {
  readonly #path: string
  readonly #shown: string

  constructor(path: string, shown: string) {
    this.#path = path
    this.#shown = shown
  }

  /** @throws Problem `refused` when the file holds anything else than wrapped keys. */
  find(keyId: string): StoredDataKey | undefined {
    const line = this.#read().keys.get(keyId)
    if (line === undefined) return undefined
    const { wrapped_key, key_context: keyContext, name, state, messages, bytes, created_at, tag } = line
    const tagBytes = tag === undefined ? undefined : fromBase64url(tag)
    return {
      keyId,
      wrappedKey: fromText(wrapped_key),
      keyContext,
      name: name ?? '',
      state,
      messages,
      bytes,
      vouched: tagBytes && { tag: tagBytes, createdAt: created_at },
    }
  }

  /** In the text form. @throws Problem `wrong` where there is no such file; `refused` as `find`. */
  wrappedKeys(): string[] {
    if (!existsSync(this.#path)) {
      throw new Problem('wrong', `cannot read ${this.#shown}: no such file`, {
        hint: 'it is beside the records: FILE.keys.ndjson',
      })
    }
    return [...this.#read().keys.values()].map(({ wrapped_key }) => wrapped_key)
  }

  /**
   * Adds keys, and brings state and counts of those there up to date. What else the file says of a key stays: it may
   * have been rewrapped since. Durable when it returns.
   */
  merge(keys: readonly StoredDataKey[], now: string): void {
    const { keys: lines, destroyed } = this.#read()
    for (const { keyId, wrappedKey, keyContext, name, state, messages, bytes, vouched } of keys) {
      // What somebody destroyed on purpose does not come back from the journal.
      if (destroyed.has(keyId)) continue
      const before = lines.get(keyId)
      const about = before ?? {
        key_id: keyId,
        wrapped_key: toText(wrappedKey),
        key_context: keyContext,
        name: name === '' ? null : name,
        created_at: vouched?.createdAt ?? now,
        ...(vouched && { tag: toBase64url(vouched.tag) }),
      }
      const { key_id, wrapped_key, key_context, created_at, tag } = about
      const isSame = before?.state === state && before.messages === messages && before.bytes === bytes
      const updated_at = isSame ? before.updated_at : now
      lines.set(keyId, {
        key_id,
        wrapped_key,
        key_context,
        name: about.name,
        state,
        messages,
        bytes,
        created_at,
        updated_at,
        ...(tag !== undefined && { tag }),
      })
    }
    const texts = [...[...lines.values()].map((line) => JSON.stringify(line)), ...destroyed.values()]
    this.#write(texts.map((text) => `${text}\n`).join(''))
  }

  #read(): KeyLines {
    let text: string
    try {
      text = readFileSync(this.#path, 'utf8')
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
        return { keys: new Map(), destroyed: new Map() }
      }
      throw fileProblem(error, this.#shown, 'read')
    }
    const keys = new Map<string, KeyLine>()
    const destroyed = new Map<string, string>()
    for (const [index, line] of text.split('\n').entries()) {
      if (line.trim() === '') continue
      const value = parseLine(line)
      const destroyedId = value === undefined ? undefined : destroyedKeyId(value)
      if (destroyedId !== undefined) {
        destroyed.set(destroyedId, line)
        continue
      }
      const key = value === undefined ? undefined : keyLineOf(value)
      if (key === undefined) {
        throw new Problem('refused', `${this.#shown} line ${index + 1} is no wrapped key`, {
          hint: 'the records cannot be read without it: restore the file from a backup',
        })
      }
      keys.set(key.key_id, key)
    }
    return { keys, destroyed }
  }

  #write(text: string): void {
    const temporary = `${this.#path}.tmp`
    try {
      const fd = openSync(temporary, 'w', 0o644)
      try {
        // A nearly full disk takes a part: this goes on until all is written, or throws.
        writeFileSync(fd, text)
        fsyncSync(fd)
      } finally {
        closeSync(fd)
      }
      renameSync(temporary, this.#path)
      syncDirectory(dirname(this.#path))
    } catch (error) {
      throw fileProblem(error, this.#shown, 'write')
    }
  }
}

/** Makes the names in a directory durable. */
export function syncDirectory(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

function parseLine(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    return parseStrictObject(line)
  } catch {
    return undefined
  }
}

/** Of a line that only says that a key was destroyed (SPEC §12). */
function destroyedKeyId({ key_id, state }: Readonly<Record<string, unknown>>): string | undefined {
  return state === 'destroyed' && typeof key_id === 'string' ? key_id : undefined
}

function keyLineOf(value: Readonly<Record<string, unknown>>): KeyLine | undefined {
  const { key_id, wrapped_key, key_context, name, state, messages, bytes, created_at, updated_at, tag } =
    value
  if (typeof key_id !== 'string' || !/^[0-9a-f]{32}$/.test(key_id)) return undefined
  if (typeof wrapped_key !== 'string' || !/^[\w-]+$/.test(wrapped_key)) return undefined
  if (!isObject(key_context)) return undefined
  const pairs = Object.entries(key_context)
  if (!pairs.every((pair): pair is [string, string] => typeof pair[1] === 'string')) return undefined
  return {
    key_id,
    wrapped_key,
    key_context: Object.fromEntries(pairs),
    name: typeof name === 'string' ? name : null,
    state: state === 'writing' || state === 'retired' ? state : 'reading',
    messages: typeof messages === 'number' ? messages : 0,
    bytes: typeof bytes === 'number' ? bytes : 0,
    created_at: String(created_at),
    updated_at: String(updated_at),
    ...(typeof tag === 'string' && { tag }),
  }
}
