import { describe, expect, test } from 'vitest'

import { JsonTextError, locateMembers, parseMemberPath, parseStrictJson } from '../src/json-text.ts'

describe('strict JSON', () => {
  test.each(['{"a":1,"b":{"a":2},"c":[{"a":3},{"a":4}]}', '[]', '"x"', '{"a":"\\"a\\":1"}', '{"":1," ":2}'])(
    'takes %s',
    (text) => {
      expect(parseStrictJson(text)).toEqual(JSON.parse(text))
    },
  )

  test.each([
    '{"a":1,"a":2}',
    '{"a":1,"\\u0061":2}',
    '{"b":{"a":1,"a":1}}',
    '[{"a":1},{"b":1,"b":2}]',
    '{"a":{"x":[1,{"y":2}]},"a":0}',
    '{"a":1,}',
    '{a:1}',
    '',
    '{"a":1} x',
    '\u00a0{}',
  ])('refuses %s', (text) => {
    expect(() => parseStrictJson(text)).toThrow(JsonTextError)
  })

  test('a refusal does not repeat the text', () => {
    expect(() => parseStrictJson('{"secret": hunter2}')).toThrow(/^not JSON$/)
  })
})

describe('where members stand', () => {
  const text = ' { "a" : "x\\"}" , "b":{"c": [1, "}", {"d":2}] ,"e":null},"n": 1.50e3 } '

  test.each([
    ['a', '"x\\"}"'],
    ['b', '{"c": [1, "}", {"d":2}] ,"e":null}'],
    ['/b/c', '[1, "}", {"d":2}]'],
    ['/b/e', 'null'],
    ['n', '1.50e3'],
  ])('%s', (path, expected) => {
    const [span] = locateMembers(text, [parseMemberPath(path)])
    expect(text.slice(span?.start, span?.end)).toBe(expected)
  })

  test.each(['x', '/b/x', '/a/b', '/b/c/d', '/n/x'])('%s leads nowhere', (path) => {
    expect(locateMembers(text, [parseMemberPath(path)])).toEqual([undefined])
  })

  test('a name may hold what a path uses', () => {
    expect(parseMemberPath('/a~1b/m~0n')).toEqual(['a/b', 'm~n'])
    expect(parseMemberPath('a/b')).toEqual(['a/b'])
  })

  test.each(['[1]', '"a"', '{"a":1', '{"a":1,"a":2}'])('refuses %s', (line) => {
    expect(() => locateMembers(line, [['a']])).toThrow(JsonTextError)
  })
})
