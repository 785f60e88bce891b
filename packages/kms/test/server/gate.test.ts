import type { SealStatus } from '@longhold/core/kms'
import { describe, expect, onTestFinished, test } from 'vitest'

import { Passphrase } from '../../src/seal/passphrase.ts'
import { Shares } from '../../src/seal/shares.ts'
import { ServiceGate } from '../../src/server/gate.ts'
import { handlerOf } from '../../src/server/handlers.ts'
import { slotOpeners } from '../../src/server/slot-openers.ts'
import { prepareService } from '../../src/service/beginning.ts'
import { everyRow } from '../../src/service/key-store.ts'
import { Service } from '../../src/service/service.ts'
import type { SlotOpener } from '../../src/service/slot-opener.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { contentsOf } from '../support/rows.ts'

const cheap = { memory: 64, passes: 1, lanes: 1 }
const right = 'correct horse battery'

/** A service that is sealed, and a clock that the test moves. */
async function sealedService(opener: SlotOpener) {
  const store = new MemoryStore()
  const { beginning, write } = await prepareService({ store, opener })
  await write()
  let nowMs = 1_000_000
  let opened = 0
  const gate = new ServiceGate({
    slots: () => everyRow(store, 'slots'),
    open: async (given, failures) => {
      opened += 1
      return await Service.open({ store, opener: given, failures })
    },
    accept: async () => undefined,
    nowMs: () => nowMs,
  })
  onTestFinished(() => gate.close())
  const frame = { log: () => undefined, isDraining: () => false }
  const openers = slotOpeners(undefined)
  const admin = handlerOf(gate, openers, frame, { mayUnseal: true, mayInit: true })
  const network = handlerOf(gate, openers, frame, { mayUnseal: false, mayInit: false })
  const ask = async (on: typeof admin, method: string, path: string, body?: object, token?: string) => {
    const response = await on.fetch(
      new Request(`http://127.0.0.1${path}`, {
        method,
        headers: {
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
        body: body === undefined ? null : JSON.stringify(body),
      }),
    )
    const json: unknown = await response.json()
    return { status: response.status, json, retryAfter: response.headers.get('retry-after') }
  }
  return {
    store,
    gate,
    token: beginning.adminToken,
    opened: () => opened,
    pass: (ms: number) => void (nowMs += ms),
    admin: (method: string, path: string, body?: object, token?: string) =>
      ask(admin, method, path, body, token),
    network: (method: string, path: string, body?: object, token?: string) =>
      ask(network, method, path, body, token),
  }
}

describe('a sealed service', () => {
  test('says that it lives and that it is sealed, and nothing else', async () => {
    const under = await sealedService(Passphrase.from(right, cheap))
    for (const ask of [under.admin, under.network]) {
      expect(await ask('GET', '/livez')).toMatchObject({ status: 200 })
      expect(await ask('GET', '/v1/sys/seal-status')).toMatchObject({
        status: 200,
        json: { sealed: true, initialised: true, kinds: ['passphrase'], shares: null },
      })
      for (const path of ['/readyz', '/v1/keys', '/v1/tokens', '/v1/sys/slots', '/nowhere', '/v1/sys/seal']) {
        expect(await ask('GET', path, undefined, under.token), path).toMatchObject({
          status: 503,
          json: { code: 'sealed' },
        })
      }
    }
    expect(under.opened()).toBe(0)
  })

  test('is unsealed on the admin socket alone', async () => {
    const under = await sealedService(Passphrase.from(right, cheap))
    const elsewhere = await under.network('POST', '/v1/sys/unseal', { passphrase: right })
    expect(elsewhere).toMatchObject({ status: 503, json: { code: 'sealed' } })
    expect(under.gate.service).toBeUndefined()
    const here = await under.admin('POST', '/v1/sys/unseal', { passphrase: right })
    expect(here).toMatchObject({ status: 200, json: { sealed: false } })
    expect((await under.network('GET', '/v1/keys', undefined, under.token)).status).toBe(200)
  })

  test('makes whoever is wrong wait, twice as long each time, and changes nothing', async () => {
    const under = await sealedService(Passphrase.from(right, cheap))
    const before = await contentsOf(under.store)
    const attempt = (passphrase: string) => under.admin('POST', '/v1/sys/unseal', { passphrase })
    for (const waitMs of [1000, 2000, 4000, 8000]) {
      expect(await attempt('not this one')).toMatchObject({ status: 422, json: { code: 'wrong_secret' } })
      // The right one too waits: an attempt tells nothing before its time.
      expect(await attempt(right)).toMatchObject({
        status: 429,
        json: { code: 'rate_limited' },
        retryAfter: String(waitMs / 1000),
      })
      under.pass(waitMs)
    }
    expect(await contentsOf(under.store)).toEqual(before)
    expect(await attempt(right)).toMatchObject({ status: 200, json: { sealed: false } })
  })

  test('never waits longer than a minute', async () => {
    const under = await sealedService(Passphrase.from(right, cheap))
    let last: string | null = null
    for (let attempts = 0; attempts < 12; attempts++) {
      await under.admin('POST', '/v1/sys/unseal', { passphrase: 'not this one' })
      last = (await under.admin('POST', '/v1/sys/unseal', { passphrase: right })).retryAfter
      under.pass(60_000)
    }
    expect(last).toBe('60')
  })

  test('takes one attempt at a time', async () => {
    const under = await sealedService(Passphrase.from(right, cheap))
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => under.admin('POST', '/v1/sys/unseal', { passphrase: 'not this one' })),
    )
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
      422,
      ...Array<number>(7).fill(429),
    ])
    expect(under.opened()).toBe(1)
  })

  test.each([
    {},
    { passphrase: '' },
    { passphrase: right, share: 'x' },
    { passphrase: right, more: true },
    { key_file: 'AAAA' },
    { key_service: false },
    { passphrase: 'x'.repeat(20_000) },
  ])('refuses what is no attempt: %j', async (body) => {
    const under = await sealedService(Passphrase.from(right, cheap))
    const { status } = await under.admin('POST', '/v1/sys/unseal', body)
    expect([400, 413]).toContain(status)
    expect(under.opened()).toBe(0)
  })

  test('without another key service configured says so', async () => {
    const under = await sealedService(Passphrase.from(right, cheap))
    expect(await under.admin('POST', '/v1/sys/unseal', { key_service: true })).toMatchObject({
      status: 503,
      json: { code: 'slot_unavailable' },
    })
  })
})

describe('shares', () => {
  async function sealedByShares() {
    const { shares, texts } = await Shares.make(3, 5)
    const under = await sealedService(shares)
    const give = (share: string) => under.admin('POST', '/v1/sys/unseal', { share })
    const given = (answer: { json: unknown }) => (answer.json as SealStatus).shares
    return { under, texts, give, given }
  }

  test('come one by one, in any order, twice does not count', async () => {
    const { under, texts, give, given } = await sealedByShares()
    const [a = '', b = '', , d = ''] = texts
    expect(given(await give(d))).toEqual({ given: 1, threshold: 3 })
    expect(given(await give(d))).toEqual({ given: 1, threshold: 3 })
    expect(given(await give(a))).toEqual({ given: 2, threshold: 3 })
    expect(await give(b)).toMatchObject({ json: { sealed: false, shares: null } })
    expect((await under.network('GET', '/v1/keys', undefined, under.token)).status).toBe(200)
  })

  test('that are wrong are found alone, and the others stay', async () => {
    const { under, texts, give, given } = await sealedByShares()
    const [a = '', b = '', c = ''] = texts
    const [foreign = ''] = (await Shares.make(3, 5)).texts
    await give(a)
    expect(await give(foreign)).toMatchObject({ status: 422, json: { code: 'wrong_secret' } })
    under.pass(60_000)
    expect(await give(`${b.slice(0, -2)}AA`)).toMatchObject({ status: 422 })
    under.pass(60_000)
    expect(given(await give(b))).toEqual({ given: 2, threshold: 3 })
    expect(await give(c)).toMatchObject({ json: { sealed: false } })
  })

  test('can be taken back', async () => {
    const { under, texts, give, given } = await sealedByShares()
    await give(texts[0] ?? '')
    expect(given(await under.admin('POST', '/v1/sys/unseal', { forget_shares: true }))).toBeNull()
    expect(given(await give(texts[1] ?? ''))).toEqual({ given: 1, threshold: 3 })
  })
})

describe('sealing', () => {
  test('turns to sealed at once, and forgets when the last request is answered', async () => {
    const under = await sealedService(Passphrase.from(right, cheap))
    await under.admin('POST', '/v1/sys/unseal', { passphrase: right })
    const { service } = under.gate
    if (service === undefined) throw new Error('it is open')
    let finish = (): void => undefined
    const underWay = under.gate.during(service, async () => {
      await new Promise<void>((resolve) => (finish = resolve))
      return await service.tokens.authenticate(under.token)
    })
    expect(await under.gate.seal()).toMatchObject({ sealed: true })
    expect(await under.network('GET', '/v1/keys', undefined, under.token)).toMatchObject({ status: 503 })
    // An unseal waits for what still answers.
    const again = under.admin('POST', '/v1/sys/unseal', { passphrase: right })
    finish()
    expect((await underWay).token).toBe(under.token.slice(4, 28))
    expect(await again).toMatchObject({ json: { sealed: false } })
    await expect(service.tokens.authenticate(under.token)).rejects.toThrow(/wiped/u)
    expect((await under.network('GET', '/v1/keys', undefined, under.token)).status).toBe(200)
  })
})
