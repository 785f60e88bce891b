import { describe, expect, test } from 'vitest'

import { keyPattern } from '../src/service/keys.ts'
import { permissions } from '../src/service/policy.ts'
import { versionStates } from '../src/service/states.ts'
import { createKeyRequest, createTokenRequest, unwrapRequest, versionInfo } from '../src/wire.ts'

describe('schemas', () => {
  test('know every permission and every state, and names as the service does', () => {
    const { permissions: list } = createTokenRequest.shape
    expect(list.element.options).toEqual([...permissions])
    expect(versionInfo.shape.state.options).toEqual(Object.keys(versionStates))
    for (const name of [
      'a',
      'A',
      '',
      '-a',
      'a-',
      '.',
      'a.b_c-9',
      'a/b',
      'é',
      'a'.repeat(64),
      'a'.repeat(65),
    ]) {
      expect(createKeyRequest.safeParse({ key: name }).success, name).toBe(keyPattern.test(name))
    }
  })

  test('keep a context pair of any name', () => {
    const text = `{"items":[{"id":"1","key_id":"${'A'.repeat(22)}","stanza":"AAAA","context":{"__proto__":"x","10":"a","9":"b"}}]}`
    const parsed = unwrapRequest.parse(JSON.parse(text))
    expect(new Map(Object.entries(parsed.items[0]?.context ?? {}))).toEqual(
      new Map([
        ['__proto__', 'x'],
        ['10', 'a'],
        ['9', 'b'],
      ]),
    )
  })
})
