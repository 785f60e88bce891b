import { expect, test } from 'vitest'

import { FixedPaths } from '../../src/http/fixed-paths.ts'

function router() {
  const made = new FixedPaths<string>()
  made.add('ALL', '*', 'frame')
  made.add('POST', '/v1/unwrap', 'unwrap')
  made.add('GET', '/v1/keys/:key', 'key')
  made.add('GET', '/v1/keys/import', 'import')
  return made
}

/** Handlers and the values of parameters, wherever a router keeps them. */
function found(made: FixedPaths<string>, method: string, path: string) {
  const [handlers, values = []] = made.match(method, path)
  return handlers.map(([handler, params]) => [
    handler,
    Object.fromEntries(
      Object.entries(params).map(([name, at]) => [name, typeof at === 'number' ? values[at] : at]),
    ),
  ])
}

test('what is remembered is what was found', () => {
  const made = router()
  const first = made.match('POST', '/v1/unwrap')
  expect(made.match('POST', '/v1/unwrap')).toBe(first)
  expect(found(made, 'POST', '/v1/unwrap')).toEqual([
    ['frame', {}],
    ['unwrap', {}],
  ])
})

test('only for paths that are written out, by their method', () => {
  const made = router()
  expect(found(made, 'GET', '/v1/keys/a')).toEqual([
    ['frame', {}],
    ['key', { key: 'a' }],
  ])
  expect(found(made, 'GET', '/v1/keys/b')).toEqual([
    ['frame', {}],
    ['key', { key: 'b' }],
  ])
  expect(found(made, 'GET', '/v1/keys/import')).toEqual([
    ['frame', {}],
    ['key', { key: 'import' }],
    ['import', {}],
  ])
  expect(found(made, 'GET', '/v1/unwrap')).toEqual([['frame', {}]])
  expect(made.match('GET', '/v1/unwrap')).not.toBe(made.match('GET', '/v1/unwrap'))
})
