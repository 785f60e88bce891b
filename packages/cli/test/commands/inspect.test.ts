import { detach } from '@longhold/core'
import { describe, expect, test } from 'vitest'

import { Workspace } from '../support/cli.ts'

async function withEnvelope() {
  const space = new Workspace()
  const { stdout } = await space.ok(['keygen', '-o', 'mine.txt'])
  const recipient = stdout.trim()
  await space.ok(['encrypt', '-r', recipient, '-o', 'x.lh'], { stdin: 'hello' })
  const { wrappedKey, record } = detach(space.bytes('x.lh'))
  space.write('x.key', wrappedKey)
  space.write('x.rec', record)
  return space
}

describe('longhold inspect', () => {
  test('says of each kind what it is, without a key', async () => {
    using space = await withEnvelope()
    const { stdout } = await space.ok(['inspect', 'x.lh', 'x.key', 'x.rec'])
    expect(stdout).toContain('envelope, version 1, binary form')
    expect(stdout).toContain('wrapped key, version 1, binary form')
    expect(stdout).toContain('record, version 1, binary form')
    expect(stdout).toMatch(/x\.lh\n(?:.*\n)* {2}plaintext +5 bytes\n/u)
    expect(stdout).toMatch(/ {4}1 +[0-9a-f]{32} {2}MLKEM768-X25519.*1,190 bytes\n/u)
  })

  test('--json has the same for machines, from standard input and in text form too', async () => {
    using space = await withEnvelope()
    const [envelope] = JSON.parse((await space.ok(['inspect', '--json', 'x.lh'])).stdout).files
    expect(envelope).toMatchObject({
      file: 'x.lh',
      form: 'binary',
      kind: 'envelope',
      version: 1,
      plaintext_bytes: 5,
    })
    expect(envelope.header_bytes + envelope.body_bytes + 4).toBe(envelope.total_bytes)
    const stdin = Buffer.from(space.bytes('x.lh')).toString('base64url')
    const [text] = JSON.parse((await space.ok(['inspect', '--json'], { stdin })).stdout).files
    expect(text).toEqual({ ...envelope, file: 'standard input', form: 'text' })
    const [record] = JSON.parse((await space.ok(['inspect', '--json', 'x.rec'])).stdout).files
    expect(record).toMatchObject({ kind: 'record', stanzas: [], key_id: envelope.key_id })
  })

  test('what cannot be read is told apart from what can, and ends with exit 1', async () => {
    using space = await withEnvelope()
    space.write('cut', space.bytes('x.key').subarray(0, 100))
    const result = await space.cli(['inspect', 'x.lh', 'cut', 'missing'])
    expect(result.code).toBe(1)
    expect(result.stdout).toContain('envelope, version 1')
    expect(result.stderr).toContain('warning: cut: malformed')
    expect(result.stderr).toContain('warning: cannot read missing')
    expect(result.stderr).toContain('error: 2 of 3 files could not be read as longhold data')
    expect((await space.cli(['inspect', 'cut'])).code).toBe(1)
    expect((await space.cli(['inspect', 'missing'])).code).toBe(2)
    const json = JSON.parse((await space.cli(['inspect', '--json', 'x.lh', 'cut'])).stdout)
    expect(json.files[1]).toMatchObject({ file: 'cut', error: { code: 'malformed' } })
  })
})
