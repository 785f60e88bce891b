/** The service over HTTP, from the first record to a patient who is forgotten. */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { expect, test } from 'vitest'

import { TestService, ada, normalNumber, startKeyService } from './support.ts'

/** Several chunks, each line another. */
const scan = Buffer.from(Array.from({ length: 9000 }, (_, i) => `scan line ${i}\n`).join(''))

test('a record is written, read, changed and found by its insurance number', async () => {
  await using service = await TestService.start()
  const id = await service.add()
  await service.add({ ...ada, name: 'Somebody Else', insuranceNumber: 'K999' })
  const stored = { id, ...ada, insuranceNumber: normalNumber }
  expect(await (await service.ask('GET', `/records/${id}`)).json()).toEqual(stored)

  const found = await service.ask('POST', '/records/search', { insuranceNumber: 'k123456789 ' })
  expect(await found.json()).toEqual({ records: [stored] })
  const none = await service.ask('POST', '/records/search', { insuranceNumber: 'K000000' })
  expect(await none.json()).toEqual({ records: [] })

  expect((await service.ask('PATCH', `/records/${id}`, { diagnoses: ['asthma'] })).status).toBe(204)
  expect(await (await service.ask('GET', `/records/${id}`)).json()).toEqual({
    ...stored,
    diagnoses: ['asthma'],
  })
  expect((await service.ask('GET', '/records/nobody')).status).toBe(404)
  expect((await service.ask('POST', '/records', { ...ada, born: 'long ago' })).status).toBe(400)
})

test('an attachment is read in parts', async () => {
  await using service = await TestService.start()
  const path = await service.attach(await service.add(), scan)
  const whole = await service.ask('GET', path)
  expect([whole.status, whole.headers.get('content-type')]).toEqual([200, 'image/tiff'])
  expect(scan.equals(await bytesOf(whole))).toBe(true)

  const { length } = scan
  for (const [range, start, end] of [
    ['bytes=0-0', 0, 1],
    ['bytes=16380-16390', 16_380, 16_391],
    ['bytes=100000-', 100_000, length],
    ['bytes=-7', length - 7, length],
    [`bytes=5-${length + 100}`, 5, length],
  ] as const) {
    const part = await service.range(path, range)
    expect([part.status, part.headers.get('content-range')]).toEqual([
      206,
      `bytes ${start}-${end - 1}/${length}`,
    ])
    expect(scan.subarray(start, end).equals(await bytesOf(part))).toBe(true)
  }
  const behind = await service.range(path, `bytes=${length}-`)
  expect([behind.status, behind.headers.get('content-range')]).toEqual([416, `bytes */${length}`])
  expect((await service.range(path, 'bytes=0-1,5-6')).status).toBe(200)
  expect((await service.ask('GET', `${path}0`)).status).toBe(404)
})

test('an upload that is cut off leaves nothing, and what is too long or no JSON is refused', async () => {
  await using service = await TestService.start()
  const id = await service.add()
  let sent = 0
  const cut = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (sent++ < 20) controller.enqueue(new Uint8Array(50_000))
      else controller.error(new Error('cut off'))
    },
  })
  await expect(service.attach(id, cut)).rejects.toThrow('fetch failed')
  expect(await service.firstLine).toBe('POST /records/:id/attachments: internal')
  expect([...service.files().keys()].filter((path) => path.includes('attachments'))).toEqual([])
  expect(service.rows('SELECT * FROM attachments')).toEqual([])

  const empty = await service.ask('GET', await service.attach(id, ''))
  expect([empty.status, await empty.text()]).toEqual([200, ''])
  expect((await service.ask('POST', '/records', 'x'.repeat(300_000))).status).toBe(413)
  expect((await service.ask('POST', '/records')).status).toBe(400)
})

test('nothing of it is on the disk in the clear', async () => {
  await using service = await TestService.start()
  await service.attach(await service.add(), scan)
  const files = service.files()
  expect([...files.keys()].some((path) => path.includes('attachments'))).toBe(true)
  expect([...files.keys()].some((path) => path.endsWith('health.db'))).toBe(true)
  const words = [ada.name, ada.insuranceNumber, normalNumber, ada.born, 'hypertension', 'scan line']
  for (const [path, content] of files) {
    expect(
      words.filter((word) => content.includes(word)),
      path,
    ).toEqual([])
  }
})

test('keys are rotated while requests run, and no file and no row changes for it', async () => {
  await using service = await TestService.start()
  const ids = await Promise.all(Array.from({ length: 4 }, () => service.add()))
  const path = await service.attach(ids[0] ?? '', scan)
  const before = service.rows('SELECT * FROM attachments')
  const work = async (id: string) => {
    for (const round of [1, 2, 3, 4, 5]) {
      const changed = await service.ask('PATCH', `/records/${id}`, { diagnoses: [`round ${round}`] })
      const read = await service.ask('GET', `/records/${id}`)
      const part = await service.range(path, 'bytes=20000-20010')
      expect([changed.status, read.status, part.status]).toEqual([204, 200, 206])
      expect(await read.json()).toMatchObject({ id, diagnoses: [`round ${round}`] })
      expect(scan.subarray(20_000, 20_011).equals(await bytesOf(part))).toBe(true)
    }
  }
  const [rotation] = await Promise.all([service.ask('POST', '/rotation'), ...ids.map(work)])
  expect(await rotation.json()).toEqual({ rotated: 4, rewrapped: 0, failed: 0 })
  expect(service.rows('SELECT * FROM attachments')).toEqual(before)
  const states = "SELECT state, count(*) AS n FROM longhold_data_keys WHERE name = 'patient' GROUP BY state"
  expect(service.rows(states)).toEqual([
    { state: 'reading', n: 4 },
    { state: 'writing', n: 4 },
  ])
  expect(service.log).toEqual([])
})

test('an upload goes on while keys are rotated beneath it', async () => {
  await using service = await TestService.start()
  const id = await service.add()
  let rotation: Response | undefined
  let at = 0
  const slow = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (at > 50_000) rotation ??= await service.ask('POST', '/rotation')
        if (at >= scan.length) return controller.close()
        controller.enqueue(scan.subarray(at, at + 10_000))
        at += 10_000
      },
    },
    { highWaterMark: 0 },
  )
  const path = await service.attach(id, slow)
  expect(rotation?.status).toBe(200)
  expect(scan.equals(await bytesOf(await service.ask('GET', path)))).toBe(true)
  expect(scan.equals(await bytesOf(await service.ask('GET', await service.attach(id, scan))))).toBe(true)
})

test('a value that was moved to another row, and a file under another name, are refused', async () => {
  await using service = await TestService.start()
  const [one, two] = [await service.add(), await service.add({ ...ada, diagnoses: ['none'] })]
  service.tamper(
    'UPDATE health_records SET diagnoses = (SELECT diagnoses FROM health_records WHERE id = ?) WHERE id = ?',
    one,
    two,
  )
  const refused = await service.ask('GET', `/records/${two}`)
  expect([refused.status, await refused.json()]).toEqual([500, { error: 'cannot_open' }])
  expect((await service.ask('GET', `/records/${one}`)).status).toBe(200)

  const [mine, other] = [await service.attach(one, 'mine'), await service.attach(one, 'other')]
  const fileOf = (path: string) => join(service.directory, 'attachments', path.split('/').at(-1) ?? '')
  writeFileSync(fileOf(other), readFileSync(fileOf(mine)))
  expect((await service.ask('GET', other)).status).toBe(500)
  expect(await (await service.ask('GET', mine)).text()).toBe('mine')
  const ofAnother = await service.attach(two, 'of another')
  writeFileSync(fileOf(other), readFileSync(fileOf(ofAnother)))
  expect((await service.ask('GET', other)).status).toBe(500)
  expect(service.log).toEqual([
    'GET /records/:id: cannot_open',
    'GET /records/:id/attachments/:attachment: cannot_open',
    'GET /records/:id/attachments/:attachment: cannot_open',
  ])
})

test('a patient who is forgotten is gone, even from a backup of rows and files', async () => {
  await using service = await TestService.start()
  const [id, other] = [await service.add(), await service.add({ ...ada, insuranceNumber: 'K999' })]
  const path = await service.attach(id, scan)
  const backup = [...service.files()].filter(([file]) => file.includes('attachments'))
  expect((await service.ask('DELETE', `/records/${id}`)).status).toBe(204)

  const statuses = async () =>
    await Promise.all([
      service.ask('GET', `/records/${id}`),
      service.ask('GET', path),
      service.range(path, 'bytes=0-9'),
    ]).then((responses) => responses.map(({ status }) => status))
  expect(await statuses()).toEqual([410, 410, 410])
  expect((await service.ask('PATCH', `/records/${id}`, { diagnoses: [] })).status).toBe(410)
  expect((await service.ask('POST', `/records/${id}/attachments`, 'more')).status).toBe(410)
  const found = await service.ask('POST', '/records/search', { insuranceNumber: normalNumber })
  expect(await found.json()).toEqual({ records: [] })
  expect([...service.files().keys()].filter((file) => file.includes('attachments'))).toEqual([])

  service.tamper('UPDATE health_records SET forgotten_at = NULL WHERE id = ?', id)
  for (const [file, content] of backup) writeFileSync(file, content)
  expect(await statuses()).toEqual([410, 410, 410])
  expect((await service.ask('GET', `/records/${other}`)).status).toBe(200)
})

test('with the key service no private key is here, and its rotation is followed', async () => {
  await using kms = await startKeyService()
  await using service = await TestService.start(kms.keyHolder)
  const path = await service.attach(await service.add(), scan)
  expect([...service.files().keys()].filter((file) => file.endsWith('identity.txt'))).toEqual([])
  await kms.client.rotateKey(kms.keyHolder.key)
  // The data keys of one patient and of the index.
  expect(await (await service.ask('POST', '/rotation')).json()).toMatchObject({ rewrapped: 2, failed: 0 })
  expect(scan.subarray(0, 10).equals(await bytesOf(await service.range(path, 'bytes=0-9')))).toBe(true)
  const id = await service.add()
  expect((await service.ask('GET', `/records/${id}`)).status).toBe(200)
})

async function bytesOf(response: Response): Promise<Buffer> {
  return Buffer.from(await response.arrayBuffer())
}
