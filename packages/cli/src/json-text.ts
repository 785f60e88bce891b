/** JSON as text: strict reading without duplicate members, and where in the text a member stands. */

/** The part of a text from `start` up to, not including, `end`. */
export interface Span {
  readonly start: number
  readonly end: number
}

/** The text is not what it must be. The message names what is wrong, never what stands there. */
export class JsonTextError extends Error {}

/**
 * The value of a JSON text (RFC 8259). Unlike `JSON.parse`, which keeps the last of two members with one name
 * and so lets two readers see two different objects, it refuses duplicates at every depth.
 *
 * @throws JsonTextError
 */
export function parseStrictJson(text: string): unknown {
  const value = parse(text)
  refuseDuplicates(text)
  return value
}

/** The same, for texts that must be an object. */
export function parseStrictObject(text: string): Readonly<Record<string, unknown>> {
  const value = parseStrictJson(text)
  if (!isObject(value)) throw new JsonTextError('not a JSON object')
  return value
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A member by name in each object on the way: `token`, or `/user/token` (RFC 6901) for one further inside. */
export function parseMemberPath(text: string): readonly string[] {
  if (!text.startsWith('/')) return [text]
  return text
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
}

/**
 * Where the values at the paths stand in the text of one JSON object; `undefined` for a path that leads nowhere.
 *
 * @throws JsonTextError when the text is no JSON object or an object on a path has two members of one name.
 */
export function locateMembers(text: string, paths: readonly (readonly string[])[]): (Span | undefined)[] {
  parse(text)
  const whole = trimmed(text)
  if (text[whole.start] !== '{') throw new JsonTextError('not a JSON object')
  const objects = new Map<number, Map<string, Span>>()
  return paths.map((path) => {
    let at: Span | undefined = whole
    for (const name of path) {
      if (at === undefined || text[at.start] !== '{') return undefined
      let members = objects.get(at.start)
      if (members === undefined) {
        members = membersOf(text, at.start)
        objects.set(at.start, members)
      }
      at = members.get(name)
    }
    return at
  })
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    // The engine's message quotes the text, which may be a secret.
    throw new JsonTextError('not JSON')
  }
}

// Everything below walks text that JSON.parse has accepted, and trusts it.

function membersOf(text: string, open: number): Map<string, Span> {
  const members = new Map<string, Span>()
  let at = skipSpace(text, open + 1)
  while (text[at] !== '}') {
    const nameEnd = skipString(text, at)
    const name = stringAt(text, at, nameEnd)
    const start = skipSpace(text, skipSpace(text, nameEnd) + 1)
    const end = skipValue(text, start)
    if (members.has(name)) throw new JsonTextError('two members have one name')
    members.set(name, { start, end })
    at = skipSpace(text, end)
    if (text[at] === ',') at = skipSpace(text, at + 1)
  }
  return members
}

function refuseDuplicates(text: string): void {
  const open: (Set<string> | undefined)[] = [] // the names met in each open object, undefined for an array
  let at = 0
  while (at < text.length) {
    const character = text[at]
    if (character === '{') open.push(new Set())
    else if (character === '[') open.push(undefined)
    else if (character === '}' || character === ']') open.pop()
    if (character !== '"') {
      at++
      continue
    }
    const end = skipString(text, at)
    const names = open.at(-1)
    if (names !== undefined && text[skipSpace(text, end)] === ':') {
      const name = stringAt(text, at, end)
      if (names.has(name)) throw new JsonTextError('two members have one name')
      names.add(name)
    }
    at = end
  }
}

function stringAt(text: string, start: number, end: number): string {
  const inside = text.slice(start + 1, end - 1)
  return inside.includes('\\') ? (JSON.parse(text.slice(start, end)) as string) : inside
}

function skipValue(text: string, start: number): number {
  const first = text[start]
  if (first === '"') return skipString(text, start)
  if (first !== '{' && first !== '[') {
    let end = start
    while (end < text.length && !/[\s,\]}]/.test(text.charAt(end))) end++
    return end
  }
  let depth = 0
  let at = start
  do {
    const character = text[at]
    if (character === '"') {
      at = skipString(text, at)
      continue
    }
    if (character === '{' || character === '[') depth++
    if (character === '}' || character === ']') depth--
    at++
  } while (depth > 0)
  return at
}

function skipString(text: string, start: number): number {
  let at = start
  for (;;) {
    at = text.indexOf('"', at + 1)
    let slashes = 0
    while (text[at - 1 - slashes] === '\\') slashes++
    if (slashes % 2 === 0) return at + 1
  }
}

function skipSpace(text: string, start: number): number {
  let at = start
  for (let code = text.charCodeAt(at); code === 32 || (code >= 9 && code <= 13); code = text.charCodeAt(at))
    at++
  return at
}

function trimmed(text: string): Span {
  return { start: skipSpace(text, 0), end: text.trimEnd().length }
}
