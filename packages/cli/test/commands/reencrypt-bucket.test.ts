import { generateIdentity } from '@longhold/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { openBucket } from '../../src/sources/s3-bucket.ts'
import type { BucketClient } from '../../src/sources/s3-client.ts'
import { Workspace } from '../support/cli.ts'
import type { CliResult } from '../support/cli.ts'
import { makeJwe, oldPem } from '../support/legacy-values.ts'
import { migrateObjects } from '../support/object-run.ts'
import { hasRadosgw, startRadosgw } from '../support/radosgw.ts'
import type { Radosgw } from '../support/radosgw.ts'
import { contentOf, isEnvelope, readEnvelope } from '../support/tree.ts'

const identity = generateIdentity()
const who = ['--private-key', 'old.pem', '-r', identity.recipient.toString(), '-i', 'key.txt']
const names = ['data/a b/1.jwe', 'data/ü+&/2.jwe', 'data/3.jwe', "data/'4'.jwe"]

describe.skipIf(!hasRadosgw())('a bucket of radosgw', () => {
  let server: Radosgw | undefined
  beforeAll(async () => {
    server = await startRadosgw()
  }, 120_000)
  afterAll(() => server?.stop())

  function running(): Radosgw {
    if (server === undefined) throw new Error('no server')
    return server
  }

  async function makeBucket(bucket: string): Promise<BucketClient> {
    const client = running().client(bucket)
    await client.ask({ method: 'PUT' }, 200)
    for (const key of names) {
      const headers = {
        'content-type': 'application/jose',
        'x-amz-meta-owner': 'mail',
        'x-amz-meta-x-amz-iv': 'stale',
        'x-amz-tagging': 'class=secret&a%20b=c%26d',
      }
      await client.ask({ method: 'PUT', key, headers, body: Buffer.from(await makeJwe(contentOf(key))) }, 200)
    }
    await client.ask({ method: 'PUT', key: 'data/note.txt', body: Buffer.from('a neighbour') }, 200)
    await client.ask(
      { method: 'PUT', key: 'elsewhere.jwe', body: Buffer.from(await makeJwe('elsewhere')) },
      200,
    )
    return client
  }

  function workspace(): Workspace {
    const space = new Workspace()
    space.write('old.pem', oldPem)
    space.write('key.txt', `${identity.exportText()}\n`)
    return space
  }

  async function cli(
    space: Workspace,
    command: string,
    bucket: string,
    ...flags: readonly string[]
  ): Promise<CliResult> {
    return await space.cli(['--json', 'reencrypt', command, `s3://${bucket}/data/`, ...flags], {
      env: running().env,
    })
  }

  async function contentsOf(client: BucketClient): Promise<Map<string, Buffer>> {
    const contents = new Map<string, Buffer>()
    for (const { key } of (await client.list('', undefined, 1000)).keys) {
      contents.set(key, (await client.ask({ method: 'GET', key }, 200)).bytes)
    }
    return contents
  }

  test('planned, run, verified, rolled back, run again, finalised', async () => {
    const bucket = 'plain'
    using space = workspace()
    const client = await makeBucket(bucket)
    const before = await contentsOf(client)
    const plan = await cli(space, 'plan', bucket, '--private-key', 'old.pem')
    expect(JSON.parse(plan.stdout)).toMatchObject({ to_reencrypt: 4, left_alone: 1, groups: [{ opened: 4 }] })
    expect(await contentsOf(client)).toEqual(before)

    const first = await cli(space, 'run', bucket, '--execute', ...who)
    expect(first.stderr).not.toContain('error')
    expect(JSON.parse(first.stdout)).toMatchObject({
      found: 4,
      migrated: 4,
      dead: 0,
      conflict: 0,
      left_alone: 1,
    })
    const after = await contentsOf(client)
    for (const key of names) {
      expect(await readEnvelope(after.get(key) ?? Buffer.alloc(0), { bucket, key }, identity)).toBe(
        contentOf(key),
      )
      const { headers } = await client.ask({ method: 'HEAD', key }, 200)
      expect(headers).toMatchObject({ 'content-type': 'application/jose', 'x-amz-meta-owner': 'mail' })
      expect(headers).not.toHaveProperty('x-amz-meta-x-amz-iv')
      const tags = await client.ask({ method: 'GET', key, query: { tagging: '' } }, 200)
      expect(tags.text).toContain('<Key>a b</Key><Value>c&amp;d</Value>')
    }
    for (const key of ['data/note.txt', 'elsewhere.jwe']) expect(after.get(key)).toEqual(before.get(key))
    const verified = await cli(space, 'verify', bucket, '-i', 'key.txt')
    expect(JSON.parse(verified.stdout)).toMatchObject({ opened: 4, failed: 0, not_reencrypted: 0 })

    await client.ask({ method: 'PUT', key: names[0], body: Buffer.from('written since') }, 200)
    const back = await cli(space, 'rollback', bucket, '--execute')
    expect(JSON.parse(back.stdout)).toMatchObject({ restored: 3, changed: 1 })
    const restored = await contentsOf(client)
    for (const key of names.slice(1)) {
      expect(restored.get(key)).toEqual(before.get(key))
      const { headers } = await client.ask({ method: 'HEAD', key }, 200)
      expect(headers).toMatchObject({ 'x-amz-meta-owner': 'mail', 'x-amz-meta-x-amz-iv': 'stale' })
    }
    expect([...restored.keys()]).toEqual([...before.keys()])

    const again = await cli(space, 'run', bucket, '--execute', ...who)
    expect(JSON.parse(again.stdout)).toMatchObject({ found: 3, migrated: 3 })
    expect((await cli(space, 'finalize', bucket, '--execute')).code).toBe(0)
    expect([...(await contentsOf(client)).keys()]).toEqual([...before.keys()])
    const status = await cli(space, 'status', bucket)
    expect(JSON.parse(status.stdout)).toMatchObject({ status: 'finalized', at_work: false })
  })

  test('what somebody writes between reading and replacing is not lost', async () => {
    using space = workspace()
    const client = await makeBucket('writers')
    const update = await makeJwe('an update')
    const connection = {
      endpoint: running().endpoint,
      bucket: 'writers',
      region: 'us-east-1',
      accessKeyId: 'testing',
      secretAccessKey: 'testing-secret',
      sessionToken: undefined,
    }
    const source = openBucket({
      connection,
      prefix: 'data/',
      shown: 's3://writers/data/',
      include: [],
      exclude: [],
      stateFile: space.file('state.sqlite'),
    })
    await source.checkReady(false)
    let isFirst = true
    const end = await migrateObjects(source, {
      connection,
      who: identity,
      run: {
        contextOf: (key) => ({ key }),
        testingBeforeCommit: async () => {
          if (!isFirst) return
          isFirst = false
          for (const key of names) await client.ask({ method: 'PUT', key, body: Buffer.from(update) }, 200)
        },
      },
    })
    await source.close()
    expect(end.conflicts).toBe(4)
    const after = await contentsOf(client)
    for (const key of names) {
      const bytes = after.get(key) ?? Buffer.alloc(0)
      expect(isEnvelope(bytes)).toBe(true)
      expect(await readEnvelope(bytes, { key }, identity)).toBe('an update')
    }
  })

  test('where If-Match is not honoured nothing is changed', async () => {
    using space = workspace()
    const client = await makeBucket('versions')
    // Of buckets with versions radosgw 16 does not compare the tag at a PUT.
    const body = Buffer.from('<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>')
    await client.ask({ method: 'PUT', query: { versioning: '' }, body }, 200)
    const before = await contentsOf(client)
    const refused = await cli(space, 'run', 'versions', '--execute', ...who)
    expect(refused.code).toBe(2)
    expect(refused.stderr).toContain('does not honour If-Match at a PUT')
    expect(await contentsOf(client)).toEqual(before)
  })

  test('keys are listed page by page, in order', async () => {
    const client = await makeBucket('pages')
    const keys: string[] = []
    for (let isLast = false; !isLast;) {
      const page = await client.list('data/', keys.at(-1), 2)
      keys.push(...page.keys.map(({ key }) => key))
      isLast = page.isLast
    }
    expect(keys).toEqual(
      [...names, 'data/note.txt'].toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
    )
  })

  test('a wrong key, and no key, are said so', async () => {
    using space = workspace()
    const env = { ...running().env, AWS_SECRET_ACCESS_KEY: 'another' }
    const wrong = await space.cli(['reencrypt', 'plan', 's3://plain/data/'], { env })
    expect(wrong).toMatchObject({ code: 2 })
    expect(wrong.stderr).toContain('SignatureDoesNotMatch')
    const none = await space.cli(['reencrypt', 'plan', 's3://plain/data/'], { env: { HOME: space.path } })
    expect(none).toMatchObject({ code: 2 })
    expect(none.stderr).toContain('no credentials for s3://plain')
  })
})
