import { createCipheriv, randomBytes } from 'node:crypto'
import { readFileSync, symlinkSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

import Database from 'better-sqlite3'
import { describe, expect, test } from 'vitest'

import type { FormatChoice } from '../../src/commands/reencrypt-formats.ts'
import { openSqliteTable } from '../../src/sources/sqlite-table.ts'
import { Workspace } from '../support/cli.ts'
import {
  javaLayout,
  javaOaep,
  javaYaml,
  makeJwe,
  oldKey,
  oldPem,
  otherKey,
  otherPem,
  wrapOaep,
} from '../support/legacy-values.ts'
import { jweOf, makeNotes, migrateTable, notesOptions, plaintextOf } from '../support/migration.ts'

const table = ['--table', 'notes', '--column', 'body']
const run = ['reencrypt', 'run', 'notes.db', '--execute', '--workers', '1']

interface RunAnswer {
  readonly run_id: string
  readonly status: string
  readonly found: number
  readonly migrated: number
  readonly already: number
  readonly dead: number
  readonly conflict: number
  readonly replaced_this_time: number
  readonly dead_letters: string | null
  readonly residue: readonly string[]
  readonly remedies: readonly object[]
}

/** A directory with a table of old values, the old key, an identity, and longhold.yaml that says it all. */
async function prepare(space: Workspace, rows: number): Promise<void> {
  await makeNotes(space.file('notes.db'), rows)
  space.write('old.pem', oldPem)
  await space.ok(['keygen', '--output', 'id.txt'])
  const recipient = /lhrecipient1-\S+/.exec(space.read('id.txt'))?.[0] ?? ''
  space.write(
    'longhold.yaml',
    `recipient: ${recipient}\nidentity: id.txt\nreencrypt:\n  table: notes\n  column: body\n  private-keys: [old.pem]${javaYaml}`,
  )
}

const parse = (text: string): RunAnswer => JSON.parse(text) as RunAnswer

/** Everything in the table, to see that nothing changed. */
function contentOf(space: Workspace): unknown[] {
  const database = new Database(space.file('notes.db'), { readonly: true })
  const rows = database.prepare('SELECT * FROM notes ORDER BY id').all()
  database.close()
  return rows
}

describe('from plan to verify', () => {
  test('a table', async () => {
    using space = new Workspace()
    await prepare(space, 40)
    const before = contentOf(space)

    const plan = await space.ok(['reencrypt', 'plan', 'notes.db'])
    expect(plan.stdout).toMatch(/to re-encrypt +40\n/)
    expect(plan.stdout).toMatch(
      /RSA-OAEP sha256, MGF1 sha1\n +body +aes-256-gcm\n +values +20\n +opened +20 of 20 tried/,
    )
    expect(plan.stdout).toMatch(/RSA-OAEP-256\n +body +A256GCM/)
    expect(plan.stdout).toMatch(/estimate +\d+ s on/)
    expect(plan.stdout).toContain('It does nothing for copies of the')
    expect(plan.stdout).toContain('VACUUM')
    expect(contentOf(space)).toEqual(before)

    const refused = await space.cli(['reencrypt', 'run', 'notes.db'])
    expect(refused).toMatchObject({ code: 2, stdout: '' })
    expect(refused.stderr).toMatch(/--execute was not given/)
    expect(contentOf(space)).toEqual(before)

    const status = await space.cli(['reencrypt', 'status', 'notes.db'])
    expect(status.code).toBe(1)
    expect(status.stderr).toMatch(/no run has begun/)

    const first = parse((await space.ok([...run, '--json'])).stdout)
    expect(first).toMatchObject({
      status: 'finished',
      found: 40,
      migrated: 40,
      already: 0,
      dead: 0,
      conflict: 0,
    })
    expect(first.remedies.length).toBe(3)
    const second = await space.ok(run)
    expect(second.stdout).toMatch(/already longhold +40\n/)
    expect(second.stdout).toMatch(/this time +0 values/)
    expect(second.stdout).toContain('old copies remain in')

    const verified = await space.ok(['reencrypt', 'verify', 'notes.db'])
    expect(verified.stdout).toMatch(/opened +40 under 1 data key\n +not re-encrypted +0\n +do not open +0\n/)
    expect((await space.ok(['reencrypt', 'status', 'notes.db'])).stdout).toMatch(/now +finished/)
  })

  test('a file', async () => {
    using space = new Workspace()
    await prepare(space, 2)
    const lines = await Promise.all(
      [1, 2, 3].map(async (id) => JSON.stringify({ id, body: await jweOf(id) })),
    )
    space.write('rows.ndjson', lines.join('\n'))
    const where = ['rows.ndjson', '--id', 'id', '--format', 'jwe']
    expect((await space.ok(['reencrypt', 'plan', ...where])).stdout).toMatch(/to re-encrypt +3\n/)
    const answer = await space.ok(['reencrypt', 'run', ...where, '--execute', '--workers', '1', '--json'])
    expect(parse(answer.stdout)).toMatchObject({ migrated: 3, found: 3 })
    expect(parse(answer.stdout).residue[0]).toBe('rows.ndjson itself: it is kept until the run is finalised')
    expect(space.read('rows.ndjson')).toBe(lines.join('\n'))
    expect(space.list()).toEqual(expect.arrayContaining(['rows.ndjson.keys.ndjson', 'rows.ndjson.longhold']))
    const verified = await space.ok(['reencrypt', 'verify', 'rows.ndjson', '--id', 'id'])
    expect(verified.stdout).toMatch(/opened +3 under 1 data key/)
    const again = parse((await space.ok(['reencrypt', 'run', ...where, '--execute', '--json'])).stdout)
    expect(again).toMatchObject({ status: 'finished', replaced_this_time: 0 })
  })

  test('plan without a private key counts, and opens nothing', async () => {
    using space = new Workspace()
    await makeNotes(space.file('notes.db'), 10)
    const result = await space.cli(['reencrypt', 'plan', 'notes.db', ...table, '--format', 'jwe', '--json'])
    expect(result.code).toBe(1)
    expect(JSON.parse(result.stdout)).toMatchObject({
      values: 10,
      to_reencrypt: 5,
      estimate_seconds: null,
      unrecognized: { count: 5 },
      groups: [{ format: 'jwe', key_id: 'old', wrapping: 'RSA-OAEP-256', values: 5, tried: 0, opened: 0 }],
    })
  })

  test('a record in another row does not open', async () => {
    using space = new Workspace()
    await prepare(space, 10)
    await space.ok(run)
    const database = new Database(space.file('notes.db'))
    database.exec('UPDATE notes SET id = 1000 WHERE id = 1')
    database.exec(`UPDATE notes SET body = '${'TEhSAQ'.padEnd(200, 'A')}' WHERE id = 2`)
    database.prepare('UPDATE notes SET body = ? WHERE id = 3').run(await jweOf(3))
    database.close()
    const { code, stdout, stderr } = await space.cli(['reencrypt', 'verify', 'notes.db', '--json'])
    expect(code).toBe(1)
    expect(stderr).toMatch(/2 records of notes.db, table notes, column body did not open/)
    expect(JSON.parse(stdout)).toMatchObject({
      opened: 7,
      not_reencrypted: 1,
      failed: 2,
      failures: [
        { code: 'no_data_key', count: 1, examples: ['2'] },
        { code: 'cannot_open', count: 1, examples: ['1000'] },
      ],
    })
  })

  test('another identity opens nothing', async () => {
    using space = new Workspace()
    await prepare(space, 4)
    await space.ok(run)
    await space.ok(['keygen', '--output', 'other.txt'])
    const { code, stdout } = await space.cli(['reencrypt', 'verify', 'notes.db', '-i', 'other.txt', '--json'])
    expect(code).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({ opened: 0, failures: [{ code: 'not_a_recipient', count: 4 }] })
  })
})

describe('what does not open', () => {
  test('goes to the file of dead letters, without what it holds', async () => {
    using space = new Workspace()
    await prepare(space, 10)
    const database = new Database(space.file('notes.db'))
    const set = database.prepare('UPDATE notes SET body = ?, wrapped_key = NULL, iv = NULL WHERE id = ?')
    const foreign = await makeJwe('another secret', { key: otherKey, kid: 'k2' })
    set.run(foreign, 1)
    set.run('a plaintext password', 2)
    database.close()

    const plan = await space.cli(['reencrypt', 'plan', 'notes.db'])
    expect(plan.code).toBe(1)
    expect(plan.stdout).toMatch(
      /cannot_open +1: the private key is another one, or bytes were altered or cut, say in 1\n/,
    )
    expect(plan.stderr).toMatch(/1 of 9 values tried did not open, 1 value of no named format/)

    const result = await space.cli([...run, '--json'])
    expect(result.code).toBe(1)
    expect(result.stderr).toMatch(/2 values could not be re-encrypted/)
    const answer = parse(result.stdout)
    expect(answer).toMatchObject({
      found: 10,
      migrated: 8,
      dead: 2,
      dead_letters: 'notes.db.notes.dead.ndjson',
    })
    const letters = space.read('notes.db.notes.dead.ndjson')
    expect(
      letters
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as object),
    ).toEqual([
      { table: 'notes', column: 'body', locator: '1', format: 'jwe', key_id: 'k2', code: 'cannot_open' },
      { table: 'notes', column: 'body', locator: '2', format: null, key_id: null, code: 'unrecognized' },
    ])

    // Once mended, the same command does the rest, and the file is empty.
    const mend = new Database(space.file('notes.db'))
    mend.prepare('UPDATE notes SET body = NULL WHERE id = 2').run()
    mend.close()
    space.write('other.pem', otherPem)
    const keys = ['--private-key', 'old.pem', '--private-key', 'other.pem']
    expect(parse((await space.ok([...run, ...keys, '--json'])).stdout)).toMatchObject({
      found: 9,
      migrated: 1,
      dead: 0,
    })
    expect(space.read('notes.db.notes.dead.ndjson')).toBe('')
  })

  test('a wrong private key is found out before anything is done', async () => {
    using space = new Workspace()
    await prepare(space, 6)
    space.write('other.pem', otherPem)
    const before = contentOf(space)
    const result = await space.cli([...run, '--private-key', 'other.pem'])
    expect(result.code).toBe(2)
    expect(result.stderr).toMatch(
      /none of the first 6 values to be done in notes.db, table notes, column body opens: the private key is another/,
    )
    expect(result.stderr).toMatch(/hint: check --private-key, --format and --column/)
    expect(contentOf(space)).toEqual(before)
    const forced = await space.cli([...run, '--private-key', 'other.pem', '--skip-trial', '--json'])
    expect(forced.code).toBe(1)
    expect(parse(forced.stdout)).toMatchObject({ found: 6, migrated: 0, dead: 6 })
    expect(contentOf(space)).toEqual(before)
  })

  test('also by a run that goes on', async () => {
    using space = new Workspace()
    await prepare(space, 200)
    space.write('other.pem', otherPem)
    const controller = new AbortController()
    const formats: FormatChoice[] = [
      { kind: 'declared', layout: javaLayout },
      { kind: 'built-in', type: 'jwe' },
    ]
    await migrateTable(notesOptions(space.file('notes.db')), {
      formats,
      run: { batchRows: 10, signal: controller.signal, onProgress: () => controller.abort() },
    })
    const before = contentOf(space)
    const result = await space.cli([...run, '--private-key', 'other.pem'])
    expect(result.code).toBe(2)
    expect(result.stderr).toMatch(
      /none of the first \d+ values to be done .* opens: the private key is another/,
    )
    expect(contentOf(space)).toEqual(before)
    const { stdout } = await space.ok([...run, '--json'])
    expect(parse(stdout)).toMatchObject({ found: 200, migrated: 200, dead: 0 })
  })

  test('a wrong member of a file, and a wrong name of its lines', async () => {
    using space = new Workspace()
    await prepare(space, 1)
    space.write('rows.ndjson', `${JSON.stringify({ id: 1, body: await jweOf(1) })}\n`)
    const file = ['reencrypt', 'run', 'rows.ndjson', '--execute', '--format', 'jwe']
    const column = await space.cli([...file, '--id', 'id', '--column', 'bdoy'])
    expect(column.code).toBe(2)
    expect(column.stderr).toMatch(/no record of rows.ndjson, member bdoy has a value there\n.*check --column/)
    const id = await space.cli([...file, '--id', 'nope'])
    expect(id.code).toBe(2)
    expect(id.stderr).toMatch(/their rows cannot be worked on \(bad_id\)\n.*check .*--id/)
    expect(space.list().filter((name) => name.startsWith('rows'))).toEqual(['rows.ndjson'])
    await space.ok([...file, '--id', 'id'])
  })

  test('what was listed before is listed again, and is no reason to refuse', async () => {
    using space = new Workspace()
    await prepare(space, 6)
    const database = new Database(space.file('notes.db'))
    database.prepare("UPDATE notes SET body = 'eyJ.a.b.c.d', wrapped_key = NULL WHERE id = 3").run()
    database.close()
    const answers: RunAnswer[] = []
    for (let time = 0; time < 2; time++) {
      const result = await space.cli([...run, '--json'])
      expect(result.code).toBe(1)
      expect(result.stderr).toMatch(/1 value could not be re-encrypted/)
      answers.push(parse(result.stdout))
    }
    expect(answers).toMatchObject([
      { found: 6, migrated: 5, dead: 1 },
      { found: 6, already: 5, dead: 1, replaced_this_time: 0 },
    ])
  })

  test('a wrong column or format too', async () => {
    using space = new Workspace()
    await prepare(space, 6)
    const result = await space.cli([...run, '--column', 'owner', '--format', 'jwe'])
    expect(result.code).toBe(2)
    expect(result.stderr).toMatch(/opens: none of them is of a format that was named \(jwe\)/)
  })
})

describe('what is in the way', () => {
  test('another run', async () => {
    using space = new Workspace()
    await prepare(space, 4)
    const source = openSqliteTable(notesOptions(space.file('notes.db')))
    const before = contentOf(space)
    const result = await space.cli(run)
    expect(result.code).toBe(4)
    expect(result.stderr).toMatch(/another run is at work on notes.db, table notes/)
    symlinkSync(space.file('notes.db'), space.file('alias.db'))
    expect((await space.cli(['reencrypt', 'run', 'alias.db', '--execute'])).code).toBe(4)
    expect(contentOf(space)).toEqual(before)
    source.close()
    await space.ok(run)
  })

  test('a locked database', async () => {
    using space = new Workspace()
    await prepare(space, 4)
    const before = contentOf(space)
    const other = new Database(space.file('notes.db'))
    other.exec('BEGIN IMMEDIATE')
    const result = await space.cli([...run, '--busy-timeout', '0'])
    expect(result.code).toBe(4)
    expect(result.stderr).toMatch(/notes.db is locked by another process/)
    expect(result.stderr).toMatch(/hint: end its long transaction/)
    other.exec('ROLLBACK')
    other.close()
    expect(contentOf(space)).toEqual(before)
    await space.ok(run)
  })

  test('a key service that is down: nothing changes', async () => {
    using space = new Workspace()
    await prepare(space, 4)
    // A port that was free a moment ago.
    const server = createServer().listen(0, '127.0.0.1')
    await new Promise((done) => server.once('listening', done))
    const { port } = server.address() as AddressInfo
    await new Promise((done) => server.close(done))
    space.write('token', `lhk_${'0'.repeat(24)}_${'x'.repeat(43)}\n`)
    const service = ['--kms-url', `http://127.0.0.1:${port}`, '--kms-token-file', 'token']
    const before = contentOf(space)
    const result = await space.cli([...run, '--recipient', 'kms:default', ...service])
    expect(result.code).toBe(4)
    expect(result.stderr).toContain(`127.0.0.1:${port}`)
    expect(contentOf(space)).toEqual(before)
  })

  test.each([
    ['no target', ['reencrypt', 'plan'], /no target/],
    ['a file that is not there', ['reencrypt', 'plan', 'x.db', ...table], /cannot read x.db: no such file/],
    ['a directory', ['reencrypt', 'plan', '.', ...table], /\. holds objects, so --table means nothing/],
    ['no column', ['reencrypt', 'plan', 'notes.db', '--table', 'notes'], /no column with the values/],
    ['no table', ['reencrypt', 'plan', 'notes.db', '--column', 'body'], /no table of notes.db/],
    [
      'a wrong table',
      ['reencrypt', 'plan', 'notes.db', '--table', 'note', '--column', 'body'],
      /has no table note\n.*there are: notes/,
    ],
    [
      'a wrong column',
      ['reencrypt', 'plan', 'notes.db', '--table', 'notes', '--column', 'bdy'],
      /no column bdy/,
    ],
    ['an unknown format', ['reencrypt', 'plan', 'notes.db', ...table, '--format', 'jew'], /no format jew/],
    [
      'a table in a file',
      ['reencrypt', 'plan', 'rows.ndjson', ...table, '--id', 'id'],
      /--table means nothing/,
    ],
    [
      'nothing that names lines',
      ['reencrypt', 'plan', 'rows.ndjson', '--column', 'body'],
      /nothing names the lines/,
    ],
    ['no private key', ['reencrypt', 'run', 'notes.db', ...table, '--execute'], /no private key/],
    [
      'a public key',
      ['reencrypt', 'run', 'notes.db', ...table, '--execute', '--private-key', 'public.pem'],
      /public key/,
    ],
    [
      'no recipients',
      ['reencrypt', 'run', 'notes.db', ...table, '--execute', '--private-key', 'old.pem'],
      /no recipients/,
    ],
    ['a misspelt flag', ['reencrypt', 'run', 'notes.db', '--exceute'], /unknown option '--exceute'/],
    ['no threads', ['reencrypt', 'run', 'notes.db', '--workers', '0'], /a whole number from 1 to 256/],
    [
      'a passphrase that is not there',
      ['reencrypt', 'plan', 'notes.db', ...table, '--private-key', 'old.pem', '--passphrase-env', 'NOPE'],
      /no variable NOPE/,
    ],
    [
      'an encrypted key',
      ['reencrypt', 'plan', 'notes.db', ...table, '--private-key', 'locked.pem'],
      /protected by a passphrase\n.*--passphrase-file/,
    ],
  ])('%s', async (_, argv, message) => {
    using space = new Workspace()
    await makeNotes(space.file('notes.db'), 1)
    space.write('rows.ndjson', '{"id":1,"body":"x"}\n')
    space.write('old.pem', oldPem)
    space.write('public.pem', '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n')
    space.write(
      'locked.pem',
      oldKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'open' }),
    )
    const result = await space.cli(argv)
    expect(result).toMatchObject({ code: 2, stdout: '' })
    expect(result.stderr).toMatch(message)
  })

  test('a passphrase comes from a file or the environment', async () => {
    using space = new Workspace()
    await makeNotes(space.file('notes.db'), 1)
    space.write(
      'locked.pem',
      oldKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'open' }),
    )
    space.write('phrase', 'open\n')
    const plan = ['reencrypt', 'plan', 'notes.db', ...table, '--private-key', 'locked.pem']
    await space.ok([...plan, '--passphrase-file', 'phrase'])
    await space.ok([...plan, '--passphrase-env', 'PHRASE'], { env: { PHRASE: 'open' } })
    const wrong = await space.cli([...plan, '--passphrase-env', 'PHRASE'], { env: { PHRASE: 'shut' } })
    expect(wrong).toMatchObject({ code: 2 })
    expect(wrong.stderr).toMatch(/does not open with this passphrase/)
    expect(wrong.stderr).not.toContain('shut')
  })
})

describe('longhold.yaml', () => {
  test.each([
    ['an unknown entry', 'reencrypt: { tabl: x }', /unknown entry reencrypt.tabl\n.*did you mean table/],
    ['a wrong type', 'reencrypt: { workers: many }', /reencrypt.workers/],
    ['an unknown part', 'reencrypt: { formats: { x: { ivv: front } } }', /reencrypt\.formats\.x/],
    ['a format called jwe', `reencrypt:${javaYaml.replace('java:', 'jwe:')}`, /may not be called jwe/],
    [
      'another cipher',
      `reencrypt:${javaYaml.replace('aes-256-gcm', 'aes-256-ofb')}`,
      /cipher aes-256-ofb is not read/,
    ],
    ['a tag with CBC', `reencrypt:${javaYaml.replace('gcm', 'cbc')}`, /neither tag nor additional data/],
    [
      'GCM without a tag',
      `reencrypt:${javaYaml.replace('tag: end', '')}`,
      /has a tag, and nothing says where/,
    ],
    [
      'a witness for GCM',
      `reencrypt:${javaYaml.replace('tag: end', 'tag: end\n      witness: { json: true }')}`,
      /needs no witness/,
    ],
    [
      'a witness too short to tell',
      `reencrypt:${javaYaml.replace('tag: end', 'witness: { starts-with: a }').replace('gcm', 'cbc')}`,
      /reencrypt\.formats\.java\.witness/,
    ],
    [
      'no MGF1 hash',
      `reencrypt:${javaYaml.replace(', mgf1-hash: sha1', '')}`,
      /reencrypt\.formats\.java\.oaep\.mgf1-hash/,
    ],
    [
      'a ciphertext elsewhere',
      `reencrypt:${javaYaml.replace('ciphertext: {', 'ciphertext: { column: other,')}`,
      /its ciphertext is in column other, but the run is on body/,
    ],
  ])('%s', async (_, yaml, message) => {
    using space = new Workspace()
    await makeNotes(space.file('notes.db'), 1)
    space.write('longhold.yaml', yaml)
    const result = await space.cli(['reencrypt', 'plan', 'notes.db', ...table])
    expect(result).toMatchObject({ code: 2, stdout: '' })
    expect(result.stderr).toMatch(message)
  })

  test('private keys by key id, and paths relative to the file', async () => {
    using space = new Workspace()
    await makeNotes(space.file('notes.db'), 2)
    space.write('old.pem', oldPem)
    space.write('other.pem', otherPem)
    const yaml = (keys: string) =>
      `reencrypt: { table: notes, column: body, format: jwe, target: notes.db, private-keys: ${keys} }`
    space.write('longhold.yaml', yaml('[{ file: other.pem, key-ids: [old] }, { file: old.pem }]'))
    const wrong = await space.cli(['reencrypt', 'plan', '--json'])
    expect(JSON.parse(wrong.stdout)).toMatchObject({
      groups: [{ opened: 0, failures: [{ code: 'cannot_open' }] }],
    })
    space.write(
      'longhold.yaml',
      yaml('[{ file: other.pem, key-ids: [new] }, { file: old.pem, key-ids: [old] }]'),
    )
    const right = await space.cli(['reencrypt', 'plan', '--json'])
    expect(JSON.parse(right.stdout)).toMatchObject({ groups: [{ opened: 1, failures: [] }] })
  })
})

test('bodies without a tag need a witness, or a word that they are taken as they are', async () => {
  using space = new Workspace()
  await prepare(space, 1)
  const dataKey = randomBytes(32)
  const iv = randomBytes(16)
  const cipher = createCipheriv('aes-256-cbc', dataKey, iv)
  const body = Buffer.concat([cipher.update('{"secret":1}'), cipher.final()])
  const cells = [body, wrapOaep(dataKey, javaOaep), iv].map((bytes) => bytes.toString('base64'))
  const database = new Database(space.file('notes.db'))
  database.prepare('UPDATE notes SET body = ?, wrapped_key = ?, iv = ?').run(...cells)
  database.close()
  const cbc = space
    .read('longhold.yaml')
    .replace('aes-256-gcm', 'aes-256-cbc')
    .replace(/\n +(?:tag|aad): .*/gu, '')
  space.write('longhold.yaml', cbc)
  const before = contentOf(space)

  const plan = await space.cli(['reencrypt', 'plan', 'notes.db'])
  expect(plan.code).toBe(1)
  expect(plan.stderr).toMatch(/1 value whose body is not authenticated/)
  const refused = await space.cli(run)
  expect(refused.code).toBe(2)
  expect(refused.stderr).toMatch(
    /nothing would tell a wrong key or an altered body \(aes-256-cbc\)\n.*declare a witness/,
  )
  const skipped = await space.cli([...run, '--skip-trial', '--json'])
  expect(parse(skipped.stdout)).toMatchObject({ dead: 1, migrated: 0 })
  expect(contentOf(space)).toEqual(before)

  space.write('longhold.yaml', cbc.replace('cipher:', 'witness: { json: true }\n      cipher:'))
  await space.ok(['reencrypt', 'plan', 'notes.db'])
  space.write('longhold.yaml', cbc)
  const accepted = await space.ok([...run, '--accept-unauthenticated', '--json'])
  expect(JSON.parse(accepted.stdout)).toMatchObject({ migrated: 1, unauthenticated_all_passes: 1 })
})

test('Ctrl-C ends a run at a safe point with exit code 4', async () => {
  using space = new Workspace()
  await prepare(space, 4)
  const result = await space.cli(run, { signal: AbortSignal.abort() })
  expect(result.code).toBe(4)
  expect(result.stderr).toMatch(/interrupted/)
  expect(result.stderr).toMatch(/run the same command again/)
})

test('Ctrl-C in the middle of a run says that what was counted is written', async () => {
  using space = new Workspace()
  await prepare(space, 4)
  space.write('pause', '')
  const controller = new AbortController()
  const database = new Database(space.file('notes.db'), { readonly: true })
  const begun = database.prepare("SELECT count(*) FROM sqlite_schema WHERE name = 'longhold_run'").pluck()
  // The pause file keeps the run from its first page until it is interrupted.
  const watch = setInterval(() => {
    if (begun.get() === 1) controller.abort()
  }, 20)
  const result = await space.cli([...run, '--pause-file', 'pause'], { signal: controller.signal })
  clearInterval(watch)
  database.close()
  expect(result.stderr).toMatch(/interrupted at a safe point: everything counted above is written/)
  expect(result).toMatchObject({ code: 4, stdout: expect.stringMatching(/run +stopped in pass 1/) as string })
})

test('nothing that is printed or listed holds a secret', async () => {
  using space = new Workspace()
  await prepare(space, 6)
  const database = new Database(space.file('notes.db'))
  database
    .prepare('UPDATE notes SET body = ?, wrapped_key = NULL, iv = NULL WHERE id = 1')
    .run('hunter2 in the clear')
  database.close()
  const outputs: string[] = []
  for (const argv of [
    ['reencrypt', 'plan', 'notes.db'],
    run,
    [...run, '--json'],
    ['reencrypt', 'status', 'notes.db'],
  ]) {
    const { stdout, stderr } = await space.cli(argv, { env: { LONGHOLD_DEBUG: '1' } })
    outputs.push(stdout, stderr)
  }
  outputs.push(readFileSync(space.file('notes.db.notes.dead.ndjson'), 'utf8'))
  const secrets = ['hunter2', plaintextOf(2), 'PRIVATE KEY', 'LONGHOLD-IDENTITY']
  for (const output of outputs) for (const secret of secrets) expect(output).not.toContain(secret)
})
