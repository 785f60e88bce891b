/** Plays docs/operators-day.md: the program of the page, its configuration, and every line that is typed. */

import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { expect, test } from 'vitest'

import { freePort } from './processes.ts'
import { blocksOf, parseSession, playSession } from './session.ts'

const root = join(import.meta.dirname, '../..')

/** Moves the clock of every process that is started from then on; weeks of waiting pass at once. */
const later = `#!/bin/sh
echo $(($(cat "$CLOCK_FILE") + $1 * 86400000)) > "$CLOCK_FILE"
`
const clock = `import { readFileSync } from 'node:fs'
const ms = Number(readFileSync(process.env.CLOCK_FILE, 'utf8'))
const Real = Date
globalThis.Date = class extends Real {
  constructor(...given) {
    super(...(given.length === 0 ? [Real.now() + ms] : given))
  }
  static now() {
    return Real.now() + ms
  }
}
`

test('an operator’s day, as docs/operators-day.md tells it', { timeout: 600_000 }, async () => {
  const port = String(await freePort())
  const page = readFileSync(join(root, 'docs/operators-day.md'), 'utf8').replaceAll('8420', port)
  // What happens between the blocks without being typed is said in comments of the page.
  const typed = page.replaceAll(/^<!-- (\$ .*) -->$/gmu, '```console\n$1\n```')
  const played = await playSession(parseSession(blocksOf(typed, 'console')), async (directory) => {
    const write = (name: string, text: string, mode = 0o600) => {
      writeFileSync(join(directory, name), text, { mode })
    }
    write('longhold.yaml', blocksOf(page, 'yaml'), 0o644)
    write('shop.mjs', blocksOf(page, 'js'))
    write('safe.txt', 'correct horse battery staple\n')
    for (const folder of ['keys', 'anchor']) mkdirSync(join(directory, folder), { mode: 0o700 })
    const modules = join(directory, 'node_modules')
    mkdirSync(join(modules, '@longhold'), { recursive: true })
    symlinkSync(join(root, 'packages/core'), join(modules, '@longhold/core'))
    for (const name of ['better-sqlite3', 'drizzle-orm']) {
      symlinkSync(join(root, 'packages/kms/node_modules', name), join(modules, name))
    }
    const bin = join(directory, '../bin')
    writeFileSync(join(bin, 'later'), later, { mode: 0o755 })
    writeFileSync(join(bin, 'node'), `#!/bin/sh\nexec "${process.execPath}" "$@"\n`, { mode: 0o755 })
    writeFileSync(join(bin, 'clock.mjs'), clock)
    writeFileSync(join(bin, 'offset'), '0\n')
    return { CLOCK_FILE: join(bin, 'offset'), NODE_OPTIONS: `--import ${join(bin, 'clock.mjs')}` }
  })
  expect(played).toBeUndefined()
})
