import { describe, expect, test } from 'vitest'

import { encrypt } from '../../src/envelope/envelope.ts'
import { generateIdentity } from '../../src/keys/key-parsing.ts'
import { maxPackagedVersions, openKeyPackage, sealKeyPackage } from '../../src/kms/key-package.ts'
import type { PackagedVersion } from '../../src/kms/key-package.ts'
import { Secret } from '../../src/secret.ts'

const identity = generateIdentity()
const label = { key: 'payments', purpose: 'wrap' } as const

function version(number: number, changes: Partial<PackagedVersion> = {}): PackagedVersion {
  const seed = Secret.take(new Uint8Array(32).fill(number % 256))
  return { version: number, kemId: 0x647a, state: 'unwrap_only', createdAt: 1000 + number, seed, ...changes }
}

const shown = (versions: readonly PackagedVersion[]) =>
  versions.map(({ seed, ...rest }) => ({ ...rest, seed: seed.use((bytes) => [...bytes]) }))

const versions = [
  version(1, { state: 'compromised' }),
  version(2, { state: 'disabled' }),
  version(7),
  version(2 ** 31 - 1, { state: 'primary', kemId: 0xffff, createdAt: Number.MAX_SAFE_INTEGER }),
]

describe('a key package', () => {
  test('opens to what was sealed, for whom it was sealed', async () => {
    const bytes = await sealKeyPackage(label, versions, [identity.recipient])
    expect(shown(await openKeyPackage(bytes, label, [identity]))).toEqual(shown(versions))
    await expect(openKeyPackage(bytes, label, [generateIdentity()])).rejects.toMatchObject({
      code: 'not_a_recipient',
    })
  })

  test('is not passed off as another key’s or for another purpose', async () => {
    const bytes = await sealKeyPackage(label, versions, [identity.recipient])
    for (const other of [
      { ...label, key: 'payment' },
      { ...label, purpose: 'raw-kem' as const },
    ]) {
      await expect(openKeyPackage(bytes, other, [identity])).rejects.toMatchObject({ code: 'cannot_open' })
    }
  })

  test('an altered byte anywhere and it does not open', async () => {
    const bytes = await sealKeyPackage(label, [version(1, { state: 'primary' })], [identity.recipient])
    for (let at = 0; at < bytes.length; at += 97) {
      const altered = Uint8Array.from(bytes, (byte, index) => (index === at ? byte ^ 1 : byte))
      await expect(openKeyPackage(altered, label, [identity]), `byte ${at}`).rejects.toThrow()
    }
  })

  test('holds 10,000 versions, and no more', async () => {
    const many = Array.from({ length: maxPackagedVersions }, (_, index) => version(index + 1))
    many[0] = version(1, { state: 'primary' })
    const bytes = await sealKeyPackage(label, many, [identity.recipient])
    expect(await openKeyPackage(bytes, label, [identity])).toHaveLength(maxPackagedVersions)
    const more = [...many, version(maxPackagedVersions + 1)]
    await expect(sealKeyPackage(label, more, [identity.recipient])).rejects.toMatchObject({
      code: 'bad_input',
    })
  })

  test.each([
    ['no versions', []],
    ['no primary', [version(1)]],
    ['two primaries', [version(1, { state: 'primary' }), version(2, { state: 'primary' })]],
    ['descending versions', [version(2), version(1, { state: 'primary' })]],
    ['one version twice', [version(1), version(1, { state: 'primary' })]],
    ['version 0', [version(0, { state: 'primary' })]],
    ['a time before 1970', [version(1, { state: 'primary', createdAt: -1 })]],
    ['a short seed', [version(1, { state: 'primary', seed: Secret.take(new Uint8Array(31)) })]],
  ])('%s: refused', async (_, wrong) => {
    await expect(sealKeyPackage(label, wrong, [identity.recipient])).rejects.toMatchObject({
      code: 'bad_input',
    })
  })

  const context = { 'longhold.package': 'v1', key: label.key, purpose: label.purpose }
  const row = (bytes: string) => `${bytes}647a01${'00'.repeat(8)}${'11'.repeat(32)}`

  test.each([
    ['nothing', ''],
    ['a cut head', '4c485801'],
    ['another magic', `4c485802 0001 ${row('00000001')}`],
    ['a byte too many', `4c485801 0001 ${row('00000001')} 00`],
    ['fewer versions than said', `4c485801 0002 ${row('00000001')}`],
    ['no versions', '4c485801 0000'],
    ['an unknown state', `4c485801 0001 ${row('00000001').replace('647a01', '647a05')}`],
    [
      'a time beyond what is exact',
      `4c485801 0001 ${row('00000001').replace('00'.repeat(8), 'ff'.repeat(8))}`,
    ],
  ])('an envelope that holds %s is malformed', async (_, hex) => {
    const plaintext = Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'))
    const bytes = await encrypt(plaintext, { recipients: [identity.recipient], context })
    await expect(openKeyPackage(bytes, label, [identity])).rejects.toMatchObject({ code: 'malformed' })
  })
})
