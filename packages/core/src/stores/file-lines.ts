/** Entries as lines of NDJSON, strictly read: what `FILE.keys.ndjson` holds too (SPEC §12). */

import { fromHex, fromBase64url, toBase64url, toHex } from '../bytes.ts'
import { LongholdError } from '../errors.ts'
import { canonicalize } from '../format/context.ts'
import { checkWrappedKey, keyContextJson } from '../keys/wrapped-key-store.ts'
import type { DataKeyState } from '../keys/wrapped-key-store.ts'
import type { Entry } from './key-table.ts'

export function linesOf(entries: readonly Entry[]): string {
  return entries.map((entry) => `${lineOf(entry)}\n`).join('')
}

function lineOf(entry: Entry): string {
  const keyId = JSON.stringify(toHex(entry.keyId))
  if (entry.state === 'destroyed') {
    return `{"key_id":${keyId},"state":"destroyed","destroyed_at":"${entry.destroyedAt.toISOString()}"}`
  }
  const { name, keyContext, wrappedKey, state, messages, bytes, createdAt, updatedAt, tag } = entry
  // The context keeps its order: an object would put keys that look like numbers first.
  return [
    `{"key_id":${keyId},"wrapped_key":"${toBase64url(wrappedKey)}","key_context":${keyContextJson(keyContext)}`,
    `"name":${JSON.stringify(name)},"state":"${state}","messages":${messages},"bytes":${bytes}`,
    `"created_at":"${createdAt.toISOString()}","updated_at":"${updatedAt.toISOString()}"`,
    ...(tag === undefined ? [] : [`"tag":"${toBase64url(tag)}"`]),
  ]
    .join(',')
    .concat('}')
}

/** @throws LongholdError `malformed`, with the number of the line; never with what is in it. */
export function parseLines(text: string, path: string): Entry[] {
  const seen = new Set<string>()
  const entries: Entry[] = []
  for (const [index, line] of text.split('\n').entries()) {
    if (line === '') continue
    const entry = parseLine(line)
    if (entry === undefined || seen.has(toHex(entry.keyId))) {
      throw new LongholdError(
        'malformed',
        `${path} line ${index + 1} is no wrapped key, or one that stands twice`,
        {
          hint: 'records cannot be read without it: restore the file from a backup',
        },
      )
    }
    seen.add(toHex(entry.keyId))
    entries.push(entry)
  }
  return entries
}

function parseLine(line: string): Entry | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? entryFrom(value) : undefined
  } catch {
    return undefined // its text could hold what is in the line
  }
}

function entryFrom(line: Partial<Record<string, unknown>>): Entry | undefined {
  const { key_id, wrapped_key, key_context, name, state, messages, bytes, tag } = line
  const keyId = typeof key_id === 'string' && key_id.length === 32 ? fromHex(key_id) : undefined
  if (keyId === undefined) return undefined
  if (state === 'destroyed') return { keyId, state, destroyedAt: timeOf(line['destroyed_at']) }
  const wrappedKey = typeof wrapped_key === 'string' ? fromBase64url(wrapped_key) : undefined
  if (wrappedKey === undefined || !isState(state) || !isCount(messages) || !isCount(bytes)) return undefined
  checkWrappedKey(keyId, wrappedKey)
  return {
    keyId,
    name: typeof name === 'string' ? name : '',
    // canonicalize refuses what is no object of strings.
    keyContext: canonicalize(key_context as Readonly<Record<string, string>>).pairs,
    wrappedKey,
    state,
    messages,
    bytes,
    createdAt: timeOf(line['created_at']),
    updatedAt: timeOf(line['updated_at']),
    ...(typeof tag === 'string' && { tag: fromBase64url(tag) }),
  }
}

function isState(value: unknown): value is DataKeyState {
  return value === 'writing' || value === 'reading' || value === 'retired'
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}

function timeOf(value: unknown): Date {
  const time = new Date(typeof value === 'string' ? value : Number.NaN)
  if (Number.isNaN(time.getTime())) throw new RangeError('no time')
  return time
}
