/** Runs over a tree that are killed, and a checker of every file of it. */

import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import type { LocalIdentity } from '@longhold/core'

import { killRuns } from './kill.ts'
import type { KillReport, KillTarget } from './kill.ts'
import { oldPem } from './legacy-values.ts'
import { Directory, identity } from './migration.ts'
import { contentOf, filesOf, isEnvelope, makeTree, oldNames, readEnvelope } from './tree.ts'

/** What a run over `tree` in a directory needs beside it. */
export function writeTreeSettings(directory: Directory): void {
  writeFileSync(directory.file('old.pem'), oldPem, { mode: 0o600 })
  writeFileSync(directory.file('id.txt'), identity.exportText(), { mode: 0o600 })
  writeFileSync(
    directory.file('longhold.yaml'),
    `recipient: ${identity.recipient.toString()}\nidentity: id.txt\nreencrypt:\n  target: tree\n  private-keys: [old.pem]\n  workers: 2\n`,
  )
}

export const runTree = ['reencrypt', 'run', '--execute']

/** @param pristine A tree as `makeTree` makes it, of the names. */
export function treeTarget(
  pristine: string,
  root: string,
  names: readonly string[],
  who: LocalIdentity,
): KillTarget {
  const before = filesOf(pristine)
  const old = new Set(names)
  return {
    program: fileURLToPath(new URL('object-run.ts', import.meta.url)),
    argv: [root, 'old.pem', 'id.txt'],
    reset() {
      rmSync(root, { recursive: true, force: true })
      mkdirSync(root)
      cpSync(pristine, root, { recursive: true })
    },
    async check() {
      const now = filesOf(root)
      let envelopes = 0
      for (const [name, bytes] of before) {
        const found = now.get(name)
        if (found === undefined) throw new Error(`${name} is gone`)
        if (found.equals(bytes)) continue
        if (!old.has(name) || !isEnvelope(found)) throw new Error(`${name} is neither old nor new`)
        if ((await readEnvelope(found, { path: name }, who)) !== contentOf(name))
          throw new Error(`${name} differs`)
        envelopes++
      }
      const left = [...now.keys()].filter((name) => !before.has(name))
      if (left.some((name) => !/\.longhold-tree-[0-9a-f]{16}\.tmp$/u.test(name)))
        throw new Error(`left behind: ${left.join()}`)
      return envelopes
    },
    isHalfway: (done) => done > 0 && done < names.length,
  }
}

/** A tree of so many files, killed so often. */
export async function killTree(files: number, kills: number): Promise<KillReport> {
  using directory = new Directory()
  writeTreeSettings(directory)
  const names = oldNames(files)
  await makeTree(directory.file('pristine'), names)
  const target = treeTarget(directory.file('pristine'), directory.file('tree'), names, identity)
  return await killRuns(directory.path, target, kills)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [files = 400, kills = 200] = process.argv.slice(2).map(Number)
  process.stdout.write(`${JSON.stringify(await killTree(files, kills))}\n`)
}
