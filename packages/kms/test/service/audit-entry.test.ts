import { expect, test } from 'vitest'

import { encodeEvent } from '../../src/service/audit-entry.ts'
import type { AuditEvent, AuditItems } from '../../src/service/audit-entry.ts'

const done: AuditItems = {
  result: 'done',
  key: 'a',
  version: 1,
  context: [['tenant', 'acme']],
  keyIds: ['00'],
}
const refused: AuditItems = { result: 'not_found', context: 'ab', keyIds: [], count: 2, indices: '0-1' }

test.each([
  [[done]],
  [[done, refused]],
  [[refused]],
  [[{ result: 'not_found', keyIds: [] } satisfies AuditItems]],
  [[]],
])('an entry of items alone is written like any other: %j', (items) => {
  const event: AuditEvent = { action: 'unwrap', items }
  // With a field that is left out again.
  const longWay: AuditEvent = { ...event, key: undefined }
  expect(encodeEvent(event, 7)).toBe(encodeEvent(longWay, 7))
  expect(JSON.parse(encodeEvent(event, 7))).toMatchObject({
    at: '1970-01-01T00:00:00.007Z',
    action: 'unwrap',
  })
})

test('a context is written as it is when short, else as its digest', () => {
  const written: unknown = JSON.parse(encodeEvent({ action: 'unwrap', items: [done, refused] }, 0))
  expect(written).toMatchObject({
    items: [
      { result: 'done', key: 'a', version: 1, context: [['tenant', 'acme']], key_ids: ['00'] },
      { result: 'not_found', count: 2, indices: '0-1', context_sha256: 'ab', key_ids: [] },
    ],
  })
})
