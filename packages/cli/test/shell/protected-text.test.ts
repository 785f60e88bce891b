import { argon2Sync, createDecipheriv } from 'node:crypto'

import { describe, expect, test } from 'vitest'

import { isProtected, protect, unprotect } from '../../src/shell/protected-text.ts'

// Made once, and written down in pieces so that each test can change one of them.
const begin = '-----BEGIN LONGHOLD PROTECTED IDENTITY-----'
const end = '-----END LONGHOLD PROTECTED IDENTITY-----'
const plain = 'what is protected, Grüße\n'

/** A cheap one, made with nothing but node:crypto by what docs/cli.md says. */
const cheap = `${begin}
version: 1
kdf: argon2id memory=64 passes=1 lanes=1
salt: AAECAwQFBgcICQoLDA0ODw
cipher: aes-256-gcm
nonce: AAECAwQFBgcICQoL

@BODY@
${end}
`

describe('protected text', () => {
  test('comes back with the passphrase and with no other', async () => {
    const text = await protect(plain, 'correct horse')
    expect(isProtected(text)).toBe(true)
    expect(text).not.toContain('protected, Gr')
    expect(await unprotect(text, 'correct horse', 'id')).toBe(plain)
    await expect(unprotect(text, 'correct horse ', 'id')).rejects.toMatchObject({
      code: 'wrong_passphrase',
      exitCode: 2,
      message: 'id: wrong passphrase, or the file was altered',
    })
    expect(await protect(plain, 'correct horse')).not.toBe(text)
  })

  test('is what the documentation says: opened here with node:crypto alone', async () => {
    const text = await protect(plain, 'Cafe\u0301')
    const at = text.indexOf('\n\n') + 2
    const value = (name: string) => new RegExp(`${name}[:=] ?([\\w-]+)`, 'u').exec(text)?.[1] ?? ''
    const key = argon2Sync('argon2id', {
      message: Buffer.from('Caf\u00e9'),
      nonce: Buffer.from(value('salt'), 'base64url'),
      memory: Number(value('memory')),
      passes: Number(value('passes')),
      parallelism: Number(value('lanes')),
      tagLength: 32,
    })
    const sealed = Buffer.from(text.slice(at, text.indexOf('\n-----END')).replaceAll('\n', ''), 'base64url')
    const decipher = createDecipheriv('aes-256-gcm', key, Buffer.from(value('nonce'), 'base64url'))
    decipher.setAAD(Buffer.from(text.slice(0, at))).setAuthTag(sealed.subarray(-16))
    expect(decipher.update(sealed.subarray(0, -16), undefined, 'utf8') + decipher.final('utf8')).toBe(plain)
  })

  test('other line ends and space around it do no harm', async () => {
    const text = await protect(plain, 'x')
    expect(await unprotect(`\n  ${text.replaceAll('\n', '\r\n')} \n`, 'x', 'id')).toBe(plain)
  })

  test('every part of it is authenticated', async () => {
    const text = await protect(plain, 'x')
    const altered = [
      text.replace('passes=3', 'passes=2'),
      text.replace('memory=65536', 'memory=65535'),
      text.replace('lanes=4', 'lanes=3'),
      text.replace(/(salt: )(.)/u, (_, name: string, first: string) => name + (first === 'A' ? 'B' : 'A')),
      text.replace(/(nonce: )(.)/u, (_, name: string, first: string) => name + (first === 'A' ? 'B' : 'A')),
      text.replace(/(\n\n)(.)/u, (_, gap: string, first: string) => gap + (first === 'A' ? 'B' : 'A')),
    ]
    for (const one of altered) {
      expect(one).not.toBe(text)
      await expect(unprotect(one, 'x', 'id')).rejects.toMatchObject({ code: 'wrong_passphrase' })
    }
    // What is left of the last line may be no base64url any more.
    const cut = unprotect(text.replace(/.{4}\n-----END/u, '\n-----END'), 'x', 'id')
    await expect(cut).rejects.toMatchObject({ exitCode: 2 })
  })

  test.each([
    ['memory=64', 'memory=1048577'],
    ['memory=64', 'memory=9999999999'],
    ['passes=1', 'passes=65537'],
    ['lanes=1', 'lanes=17'],
    ['lanes=1', 'lanes=9'],
    ['memory=64', 'memory=7'],
  ])('%s as %s is refused before memory is taken', async (right, wrong) => {
    const text = cheap.replace('@BODY@', 'A'.repeat(60)).replace(right, wrong)
    const before = process.resourceUsage().maxRSS
    await expect(unprotect(text, 'x', 'id')).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringContaining(`asks for Argon2id with`),
    })
    expect(process.resourceUsage().maxRSS - before).toBeLessThan(100 * 1024)
  })

  test.each([
    ['version: 1', 'version: 2', 'version 2 of a protected identity'],
    ['argon2id', 'argon2i', 'damaged'],
    ['aes-256-gcm', 'aes-128-gcm', 'damaged'],
    ['memory=64', 'memory=064', 'damaged'],
    ['memory=64', 'memory=0', 'damaged'],
    ['salt: A', 'salt: AA', 'damaged'],
    ['nonce: A', 'nonce: +', 'damaged'],
    ['@BODY@', 'AAAA', 'damaged'],
    ['@BODY@', '', 'damaged'],
    [end, '', 'damaged'],
    ['IDENTITY-----\nv', 'THING-----\nv', 'damaged'],
  ])('%j as %j is refused', async (right, wrong, said) => {
    const text = cheap.replace(right, wrong).replace('@BODY@', 'A'.repeat(60))
    await expect(unprotect(text, 'x', 'id')).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringContaining(said),
    })
  })

  test('the form itself, unaltered, is only a wrong passphrase', async () => {
    await expect(unprotect(cheap.replace('@BODY@', 'A'.repeat(60)), 'x', 'id')).rejects.toMatchObject({
      code: 'wrong_passphrase',
    })
  })
})
