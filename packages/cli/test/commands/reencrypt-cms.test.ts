import { mkdirSync, rmSync, writeFileSync } from 'node:fs'

import { describe, expect, test } from 'vitest'

import { Workspace } from '../support/cli.ts'
import { certify, opensslEncrypt } from '../support/cms.ts'
import type { CertifiedKey } from '../support/cms.ts'
import { oldKey, otherKey } from '../support/legacy-values.ts'
import { Directory } from '../support/migration.ts'

const oaep = ['rsa_padding_mode:oaep', 'rsa_oaep_md:sha256']

interface Answer {
  readonly found: number
  readonly migrated: number
  readonly dead: number
}

/** Keys with their certificates, an identity, and lines of values in `rows.ndjson`. */
async function prepare(
  space: Workspace,
  keys: readonly CertifiedKey[],
  values: readonly string[],
): Promise<string[]> {
  const files = keys.map(({ keyPem, certificatePem }, index) =>
    space.write(`old-${index}.pem`, keyPem + certificatePem),
  )
  await space.ok(['keygen', '--output', 'id.txt'])
  const recipient = /lhrecipient1-\S+/.exec(space.read('id.txt'))?.[0] ?? ''
  space.write(
    'longhold.yaml',
    `recipient: ${recipient}\nidentity: id.txt\nreencrypt:\n  column: body\n  private-keys: [${files.join(', ')}]\n`,
  )
  writeFileSync(space.file('rows.ndjson'), values.map((body, id) => JSON.stringify({ id, body })).join('\n'))
  return ['rows.ndjson', '--id', 'id', '--workers', '1']
}

const answerOf = (stdout: string): Answer => JSON.parse(stdout) as Answer

describe('CMS from plan to verify', () => {
  test('PEM, S/MIME and base64, of two keys that certificates tell apart', async () => {
    using directory = new Directory()
    using space = new Workspace()
    const mine = certify(directory, { key: oldKey })
    const others = certify(directory, { key: otherKey })
    const where = await prepare(
      space,
      [others, mine],
      [
        opensslEncrypt('gcm', [mine], { cipher: 'aes-256-gcm', form: 'PEM' }).toString(),
        opensslEncrypt('', [mine], { cipher: 'aes-128-gcm', keyOptions: oaep, args: ['-keyid'] }).toString(
          'base64',
        ),
        opensslEncrypt('cbc', [mine], { form: 'SMIME' }).toString(),
        opensslEncrypt('stream', [others], { form: 'PEM', args: ['-stream'] }).toString(),
        'MIIB, and no message',
      ],
    )
    const plan = await space.cli(['reencrypt', 'plan', ...where, '--format', 'cms'])
    expect(plan.stdout).toMatch(/RSA PKCS #1 v1\.5\n +body +aes-256-gcm\n/)
    expect(plan.stdout).toMatch(/RSA-OAEP sha256\n +body +aes-128-gcm\n/)
    expect(plan.stdout).toMatch(/serial [0-9a-f]+, issuer CN=Old CA, O=Example/)

    const run = ['reencrypt', 'run', ...where, '--format', 'cms', '--execute', '--json']
    const careful = await space.cli(run)
    expect(careful.code).toBe(2)
    expect(careful.stderr).toMatch(/nothing would tell a wrong key or an altered body \(aes-256-cbc\)/)
    const accepted = await space.cli([...run, '--accept-unauthenticated'])
    expect(accepted.code).toBe(1)
    expect(answerOf(accepted.stdout)).toMatchObject({ found: 5, migrated: 4, dead: 1 })
    expect(space.read('rows.ndjson.dead.ndjson')).toMatch(/"unrecognized"/)
    const verified = await space.cli(['reencrypt', 'verify', 'rows.ndjson', '--id', 'id'])
    expect(verified.stdout).toMatch(/opened +4 under 1 data key/)
  })

  test('bodies without a tag, once they are accepted', async () => {
    using directory = new Directory()
    using space = new Workspace()
    const mine = certify(directory, { key: oldKey })
    const others = certify(directory, { key: otherKey })
    const values = Array.from({ length: 30 }, (_, id) =>
      opensslEncrypt(`value ${id}`, [id % 2 === 0 ? mine : others], {
        args: id % 3 === 0 ? ['-keyid'] : [],
      }).toString('base64'),
    )
    const where = await prepare(space, [mine, others], values)
    const run = [
      'reencrypt',
      'run',
      ...where,
      '--format',
      'cms',
      '--execute',
      '--json',
      '--accept-unauthenticated',
    ]
    const answer = await space.ok(run)
    expect(answerOf(answer.stdout)).toMatchObject({ found: 30, migrated: 30, dead: 0 })
    const verified = await space.ok(['reencrypt', 'verify', 'rows.ndjson', '--id', 'id'])
    expect(verified.stdout).toMatch(/opened +30 under 1 data key/)
  })

  test('with the wrong key alone, nothing is replaced', async () => {
    using directory = new Directory()
    using space = new Workspace()
    const mine = certify(directory, { key: oldKey })
    const others = certify(directory, { key: otherKey })
    const values = Array.from({ length: 20 }, () => opensslEncrypt('value', [mine]).toString('base64'))
    const where = await prepare(space, [others], values)
    const run = [
      'reencrypt',
      'run',
      ...where,
      '--format',
      'cms',
      '--execute',
      '--json',
      '--accept-unauthenticated',
    ]
    const answer = await space.cli(run)
    expect(answer.code).toBe(2)
    expect(answer.stderr).toMatch(/none of the first 20 values .* opens/)
    expect(space.list()).not.toContain('rows.ndjson.longhold')
  })

  test('keys and certificates in files of their own, in one directory', async () => {
    using directory = new Directory()
    using space = new Workspace()
    const mine = certify(directory, { key: oldKey })
    const others = certify(directory, { key: otherKey })
    const values = [mine, others].map((one) => opensslEncrypt('value', [one]).toString('base64'))
    const where = await prepare(space, [], values)
    mkdirSync(space.file('keys'))
    const files = {
      'a.key': others.keyPem,
      'b.key': mine.keyPem,
      'c.crt': mine.certificatePem,
      'd.crt': others.certificatePem,
    }
    for (const [name, content] of Object.entries(files)) space.write(`keys/${name}`, content)
    const run = [
      'reencrypt',
      'run',
      ...where,
      '--format',
      'cms',
      '--execute',
      '--json',
      '--accept-unauthenticated',
    ]
    const answer = await space.ok([...run, '--private-key', 'keys'])
    expect(answerOf(answer.stdout)).toMatchObject({ migrated: 2, dead: 0 })
    expect(answer.stderr).not.toMatch(/left out/)
  })

  test('a witness in longhold.yaml stands in for a tag', async () => {
    using directory = new Directory()
    using space = new Workspace()
    const mine = certify(directory, { key: oldKey })
    const values = ['{"a":1}', '{"b":2}', 'no json'].map((text) =>
      opensslEncrypt(text, [mine]).toString('base64'),
    )
    const where = await prepare(space, [mine], values)
    const formats = (witness: string) => `  formats: { mine: { type: cms, witness: ${witness} } }\n`
    const yaml = space.read('longhold.yaml')
    space.write('longhold.yaml', yaml + formats('{ json: 1 }'))
    const run = ['reencrypt', 'run', ...where, '--format', 'mine', '--execute', '--json']
    expect((await space.cli(run)).stderr).toMatch(/reencrypt\.formats\.mine\.witness/)
    space.write('longhold.yaml', yaml + formats('{ json: true }'))
    const answer = await space.cli(run)
    expect(answerOf(answer.stdout)).toMatchObject({ found: 3, migrated: 2, dead: 1 })
    expect(space.read('rows.ndjson.dead.ndjson')).toMatch(/"cannot_open"/)
  })
})

test('eyaml is counted, and left alone while Puppet reads it', async () => {
  using directory = new Directory()
  using space = new Workspace()
  const mine = certify(directory, { key: oldKey, subject: '/', serial: '1' })
  const value = (text: string) =>
    `ENC[PKCS7,${opensslEncrypt(text, [mine], { program: 'smime' }).toString('base64')}]`
  const where = await prepare(space, [mine], [value('one'), value('two')])
  const plan = await space.cli(['reencrypt', 'plan', ...where, '--format', 'eyaml'])
  expect(plan.stdout).toMatch(/format +eyaml\n +key id +serial 01\n/)
  expect(plan.stdout + plan.stderr).toMatch(/Puppet/)
  const run = [
    'reencrypt',
    'run',
    ...where,
    '--format',
    'eyaml',
    '--execute',
    '--json',
    '--accept-unauthenticated',
  ]
  const refused = await space.cli(run)
  expect(refused.code).toBe(1)
  expect(answerOf(refused.stdout)).toMatchObject({ found: 2, migrated: 0, dead: 2 })
  expect(space.read('rows.ndjson.dead.ndjson')).toMatch(/"foreign_reader"/)
  rmSync(space.file('.longhold'), { recursive: true })
  rmSync(space.file('rows.ndjson.longhold'))
  const ready = await space.ok([...run, '--consumer-ready'])
  expect(answerOf(ready.stdout)).toMatchObject({ migrated: 2 })
})

test('a tree of S/MIME files, with a witness, one of 20 MiB', async () => {
  using directory = new Directory()
  using space = new Workspace()
  const mine = certify(directory, { key: oldKey })
  await prepare(space, [mine], [])
  const yaml = space.read('longhold.yaml').replace('  column: body\n', '')
  space.write(
    'longhold.yaml',
    `${yaml}  formats: { mine: { type: cms, witness: { starts-with: '%PDF' } } }\n`,
  )
  mkdirSync(space.file('tree'))
  const large = Buffer.concat([Buffer.from('%PDF-1.7\n'), Buffer.alloc(20 * 1024 * 1024, 7)])
  space.write('tree/mail.p7m', opensslEncrypt('%PDF-1.4 small', [mine], { form: 'SMIME' }))
  space.write('tree/large.p7m', opensslEncrypt(large, [mine], { args: ['-stream'] }))
  space.write(
    'tree/tagged.pem',
    opensslEncrypt('no PDF, but a tag', [mine], { cipher: 'aes-256-gcm', form: 'PEM' }),
  )
  const other = opensslEncrypt('no PDF', [mine])
  space.write('tree/other.p7m', other)
  space.write('tree/readme.txt', 'MIME is not encrypted here')
  const run = ['reencrypt', 'run', 'tree', '--format', 'mine', '--execute', '--workers', '1', '--json']
  const answer = await space.cli(run)
  expect(answerOf(answer.stdout)).toMatchObject({ migrated: 3, dead: 1 })
  expect(answer.code).toBe(1)
  expect(Buffer.from(space.bytes('tree/other.p7m')).equals(other)).toBe(true)
  const context = ['decrypt', 'tree/large.p7m', '-c', 'path=large.p7m']
  expect((await space.ok(context)).stdoutBytes.length).toBe(large.length)
  const verify = ['reencrypt', 'verify', 'tree', '--json']
  expect((await space.cli(verify)).stderr).toMatch(/1 object of tree not re-encrypted yet/)
  rmSync(space.file('tree/other.p7m'))
  expect((await space.ok(verify)).code).toBe(0)
})
