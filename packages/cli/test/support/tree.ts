/** A tree with old files, neighbours, and everything that must not be touched; and a reader of what came out. */

import { lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { decrypt } from '@longhold/core'
import type { Identity } from '@longhold/core'

import { makeJwe } from './legacy-values.ts'

export const contentOf = (name: string): string => `the content of ${name}`

/** Paths of old files in a tree, of several depths. */
export function oldNames(files: number): string[] {
  return Array.from({ length: files }, (_, index) =>
    index % 3 === 0 ? `top-${index}.jwe` : join(`dir ${index % 3}`, `sub-${index % 5}`, `ü-${index}.jwe`),
  )
}

export function put(root: string, name: string, content: string | Uint8Array): void {
  mkdirSync(join(root, dirname(name)), { recursive: true })
  writeFileSync(join(root, name), content)
}

/** Old files under the names, and neighbours beside them. */
export async function makeTree(root: string, names: readonly string[]): Promise<void> {
  mkdirSync(root, { recursive: true })
  for (const name of names) put(root, name, await makeJwe(contentOf(name)))
  for (const [name, content] of Object.entries(neighbours)) put(root, name, content)
}

/** None of them is RSA-wrapped. */
export const neighbours: Readonly<Record<string, string>> = {
  'empty.jwe': '',
  'notes.txt': 'eyJ is how many things begin\n',
  'dir 1/image.bin': '\u0000\u0001\u0002 binary',
  'dir 1/token.jwt': 'eyJhbGciOiJSUzI1NiJ9.e30.c2ln',
}

/** Every file below the root but the state of longhold, with its content. */
export function filesOf(root: string, below = ''): Map<string, Buffer> {
  const found = new Map<string, Buffer>()
  for (const entry of readdirSync(join(root, below), { withFileTypes: true })) {
    const name = join(below, entry.name)
    if (entry.name === '.longhold') continue
    if (entry.isDirectory()) for (const [inner, bytes] of filesOf(root, name)) found.set(inner, bytes)
    else if (lstatSync(join(root, name)).isFile()) found.set(name, readFileSync(join(root, name)))
  }
  return found
}

export function isEnvelope(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.subarray(0, 3)).toString('latin1') === 'LHE'
}

/** What a reader of the new form reads. */
export async function readEnvelope(
  bytes: Uint8Array,
  context: Record<string, string>,
  identity: Identity,
): Promise<string> {
  return Buffer.from(await decrypt(Uint8Array.from(bytes), { identities: [identity], context })).toString()
}
