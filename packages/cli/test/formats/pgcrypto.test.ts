import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { startPostgres } from '../../../../test/postgres.ts'
import type { TestPostgres } from '../../../../test/postgres.ts'
import { builtInFormats } from '../../src/formats/built-in.ts'
import { LegacyError } from '../../src/formats/legacy-format.ts'
import { openPgpFormat } from '../../src/formats/openpgp.ts'
import { PrivateKeySet } from '../../src/legacy-keys/private-key-set.ts'
import { Workspace } from '../support/cli.ts'
import { GpgHome, hasGpg } from '../support/gpg.ts'
import { Directory } from '../support/migration.ts'

const server = hasGpg ? await startPostgres() : { missing: 'gpg' }

describe.skipIf('missing' in server)('what pgcrypto writes', async () => {
  const { url } = server as TestPostgres // not entered otherwise
  const directory = new Directory()
  const home = new GpgHome(directory)
  const client = new Client({ connectionString: url })
  home.makeKey('Old')
  home.makeKey('Other')
  const publicKey = home.run(['--export', 'Old'])
  const ours = await home.keys('Old')
  const openpgp = openPgpFormat()
  beforeAll(async () => {
    await client.connect()
    await client.query('CREATE EXTENSION pgcrypto')
  })
  afterAll(async () => {
    await client.end()
    await (server as TestPostgres)[Symbol.asyncDispose]()
    home[Symbol.dispose]()
    directory[Symbol.dispose]()
  })

  async function encrypt(
    text: string,
    options: string,
    by = 'pgp_pub_encrypt($1::text, $2, $3)',
  ): Promise<Buffer> {
    const { rows } = await client.query<{ value: Buffer }>(`SELECT ${by} AS value`, [
      text,
      publicKey,
      options,
    ])
    return rows[0]?.value ?? Buffer.alloc(0)
  }

  async function codeOf(step: () => unknown): Promise<string> {
    try {
      await step()
    } catch (error) {
      if (error instanceof LegacyError) return error.code
      throw error
    }
    return 'opened'
  }

  const ciphers = ['aes128', 'aes192', 'aes256', '3des', 'cast5', 'bf']
  const plaintexts = ['', 'x', 'a secret, "quoted" and ünïcode\n'.repeat(3), 'z'.repeat(30_000)]

  test.each(ciphers.flatMap((cipher) => [0, 1, 2].map((compression) => ({ cipher, compression }))))(
    '$cipher, compression $compression',
    async ({ cipher, compression }) => {
      for (const plaintext of plaintexts) {
        const bytes = await encrypt(plaintext, `cipher-algo=${cipher}, compress-algo=${compression}`)
        const value = openpgp.recognize([bytes])
        expect(value).toMatchObject({ body: 'CFB with MDC', isAuthenticated: true })
        expect(Buffer.from((await value?.open(ours)) ?? []).toString()).toBe(plaintext)
        const asText = openpgp.recognize([bytes.toString('base64')])
        expect(Buffer.from((await asText?.open(ours)) ?? []).toString()).toBe(plaintext)
      }
    },
  )

  test('armor of its own, and bytes', async () => {
    const { rows } = await client.query<{ value: string }>(
      'SELECT armor(pgp_pub_encrypt($1::text, $2)) AS value',
      ['a secret', publicKey],
    )
    const value = openpgp.recognize([rows[0]?.value ?? ''])
    expect(Buffer.from((await value?.open(ours)) ?? []).toString()).toBe('a secret')
    const bytes = await encrypt('a secret', '', 'pgp_pub_encrypt_bytea($1::bytea, $2, $3)')
    expect(Buffer.from((await openpgp.recognize([bytes])?.open(ours)) ?? []).toString()).toBe('a secret')
  })

  test('line ends: as they were encrypted', async () => {
    const bytes = await encrypt('one\ntwo\n', 'convert-crlf=1')
    expect(Buffer.from((await openpgp.recognize([bytes])?.open(ours)) ?? []).toString()).toBe(
      'one\r\ntwo\r\n',
    )
  })

  const unauthenticated = 'disable-mdc=1'

  test.each(['aes128', 'aes192', 'aes256', '3des'])('%s without MDC is not authenticated', async (cipher) => {
    for (const plaintext of plaintexts) {
      const bytes = await encrypt(plaintext, `${unauthenticated}, cipher-algo=${cipher}`)
      const value = openpgp.recognize([bytes])
      expect(value).toMatchObject({ body: 'CFB', isAuthenticated: false })
      const [, ...subkey] = ours.all
      const one = new PrivateKeySet([])
      expect(await codeOf(() => value?.open(one))).toBe('no_private_key')
      // By its key id the value names one key, and so no key is tried.
      expect(subkey).toHaveLength(1)
      expect(Buffer.from((await value?.open(ours)) ?? []).toString()).toBe(plaintext)
    }
  })

  test('without MDC, where several keys could be meant: not tried', async () => {
    const bytes = await encrypt('a secret', unauthenticated)
    const others = await home.keys('Other')
    expect(await codeOf(() => openpgp.recognize([bytes])?.open(others))).toBe('unauthenticated')
  })

  test.each(['cast5', 'bf'])('%s without MDC is not read here, and gpg is named', async (cipher) => {
    const bytes = await encrypt('a secret', `${unauthenticated}, cipher-algo=${cipher}`)
    await expect(openpgp.recognize([bytes])?.open(ours)).rejects.toThrow(/is not read: gpg reads it/)
    const gpg = openPgpFormat({ program: 'gpg', home: home.path })
    expect(Buffer.from((await gpg.recognize([bytes])?.open(ours)) ?? []).toString()).toBe('a secret')
  })

  test('without MDC, altered: never waits, and is garbage or refused', async () => {
    const bytes = await encrypt(
      'a secret of some length, so that there is something to alter',
      unauthenticated,
    )
    for (let at = 271; at < bytes.length; at++) {
      const altered = Buffer.from(bytes)
      altered[at] = (altered[at] ?? 0) ^ 0x81
      const outcome = await codeOf(() => openpgp.recognize([altered])?.open(ours))
      expect(outcome).toMatch(/^(?:opened|cannot_open|malformed|unsupported)$/)
    }
  })

  test('without MDC, a witness tells', async () => {
    const format = await builtInFormats.openpgp.load({ witness: { json: true } })
    const right = format.recognize([await encrypt('{"a":1}', unauthenticated)])
    expect(right?.isAuthenticated).toBe(true)
    expect(Buffer.from((await right?.open(ours)) ?? []).toString()).toBe('{"a":1}')
    const wrong = format.recognize([await encrypt('no JSON', unauthenticated)])
    expect(await codeOf(() => wrong?.open(ours))).toBe('cannot_open')
  })

  test('a column of a table: plan, run and verify', async () => {
    using space = new Workspace()
    await client.query('CREATE TABLE notes (id bigint PRIMARY KEY, body bytea)')
    for (let id = 1; id <= 12; id++) {
      const options = id === 7 ? unauthenticated : `compress-algo=${id % 3}`
      await client.query('INSERT INTO notes VALUES ($1, pgp_pub_encrypt($2::text, $3, $4))', [
        id,
        `the secret of ${id}`,
        publicKey,
        options,
      ])
    }
    space.write('old.asc', home.exportKey('Old', { isArmored: true }).toString())
    await space.cli(['keygen', '--output', 'identity.txt'])
    space.write('recipients.txt', /lhrecipient1-\S+/u.exec(space.read('identity.txt'))?.[0] ?? '')
    const target = [url, '--table', 'notes', '--column', 'body', '--private-key', 'old.asc']
    const plan = await space.cli(['reencrypt', 'plan', ...target])
    expect(plan.stdout).toMatch(/openpgp/)
    const keys = ['--identity', 'identity.txt', '--recipients-file', 'recipients.txt']
    const command = ['reencrypt', 'run', ...target, ...keys, '--execute']
    const refused = await space.cli(command)
    expect(refused.code).toBe(2)
    expect(refused.stderr).toMatch(/format openpgp: nothing would tell a wrong key or an altered body/)
    const run = await space.cli([...command, '--accept-unauthenticated'])
    expect(run.stdout).toMatch(/migrated +12\n/)
    expect(run.code).toBe(0)
    const verify = await space.cli([
      'reencrypt',
      'verify',
      ...target.slice(0, 5),
      '--identity',
      'identity.txt',
    ])
    expect(verify.stdout).toMatch(/opened +12/)
    expect(verify.code).toBe(0)
  })
})
