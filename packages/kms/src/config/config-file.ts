/** A configuration file: YAML, one flat list of entries. */

import { readFileSync } from 'node:fs'

import { parseDocument } from 'yaml'

import { ConfigError } from './config-error.ts'

const maxBytes = 64 * 1024

/** @throws ConfigError when it cannot be read, or is not YAML of entries. */
export function readConfigFile(path: string): Record<string, unknown> {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    throw new ConfigError(`${path} cannot be read (${code})`)
  }
  if (text.length > maxBytes) throw new ConfigError(`${path} is larger than ${maxBytes} bytes`)
  const document = parseDocument(text, { strict: true, uniqueKeys: true, prettyErrors: true })
  const [problem] = document.errors
  if (problem !== undefined) {
    const [first = ''] = problem.message.split('\n')
    throw new ConfigError(`${path} is not YAML: ${first.replace(/:$/u, '')}`)
  }
  // Nothing here needs anchors, and a few lines of them can stand for gigabytes.
  let value: unknown
  try {
    value = document.toJS({ maxAliasCount: 0 }) ?? {}
  } catch {
    throw new ConfigError(`${path}: anchors and aliases are not allowed`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ConfigError(`${path}: it must be a list of entries, as in listen: 127.0.0.1:8420`)
  }
  // Just seen: an object and no list.
  return value as Record<string, unknown>
}
