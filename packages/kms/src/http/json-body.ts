/** Reads a JSON body strictly: bounded, UTF-8, no key twice, few levels, few values. The schema comes after. */

import type { Context } from 'hono'
import { createMiddleware } from 'hono/factory'

import { ServiceError } from '../service/errors.ts'
import type { BodyShare } from './body-budget.ts'
import type { Env } from './env.ts'

/** Up to here a body is read whole, which is faster, and counts by what it says of itself. */
const smallBodyBytes = 64 * 1024
const maxDepth = 16
/** Above what any route takes: a context has 64 pairs, a batch 1,000 items with 64 pairs and 64 targets each. */
const maxNames = 256
const maxValues = 250_000
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** For a route that is open before anybody is known; the validator parses what is read. */
export function jsonBody(maxBytes: number) {
  return createMiddleware<Env>(async (c, next) => {
    // Where a service is sealed nothing is shared: bodies are few and small there.
    const shared: Env['Variables']['shared'] | undefined = c.get('shared')
    const share = shared?.bodyBudget.share('')
    try {
      await readJsonText(c, maxBytes, share)
      await next()
    } finally {
      share?.free()
    }
  })
}

/**
 * Reads the text of a body, and checks it.
 *
 * @param share What it takes of the memory for bodies; whoever gives it frees it.
 * @throws ServiceError `malformed_request`, `body_too_large`, `rate_limited`.
 */
export async function readJsonText(c: Context<Env>, maxBytes: number, share?: BodyShare): Promise<void> {
  if (c.req.header('content-encoding') !== undefined) throw malformed('the body must not be compressed')
  const given = await readText(c, maxBytes, share)
  checkJsonText(given)
  c.set('text', given)
  // What a validator parses next. Hono keeps the promise of a text there, whatever its types say. None is an object
  // without fields: the schema says whether that will do.
  c.req.bodyCache.text = Promise.resolve(given === '' ? '{}' : given) as never
}

async function readText(c: Context<Env>, maxBytes: number, share?: BodyShare): Promise<string> {
  const bytes = await readBody(c, maxBytes, share).catch((error: unknown) => {
    // Whoever sent it went away, or was sent away for being slow.
    throw error instanceof ServiceError ? error : malformed('the body ended before its time')
  })
  try {
    return decoder.decode(bytes)
  } catch {
    throw malformed('the body is not UTF-8')
  }
}

async function readBody(c: Context<Env>, maxBytes: number, share?: BodyShare): Promise<Uint8Array> {
  const length = c.req.header('content-length')
  if (length !== undefined && c.req.header('transfer-encoding') === undefined) {
    // Node's parser holds the sender to it.
    if (Number(length) > maxBytes) throw tooLarge(maxBytes)
    if (Number(length) <= smallBodyBytes) {
      share?.take(Number(length))
      return new Uint8Array(await c.req.raw.arrayBuffer())
    }
  }
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of c.req.raw.body ?? []) {
    size += chunk.length
    if (size > maxBytes) throw tooLarge(maxBytes)
    share?.take(chunk.length)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/**
 * Finds what `JSON.parse` is silent about: a key that stands twice in one object, where two readers may each take
 * another one, nesting without a bound, and so many values that building and checking them would hold up everybody
 * else for seconds. Text that is no JSON is left to `JSON.parse`.
 *
 * @throws ServiceError `malformed_request`.
 */
export function checkJsonText(text: string): void {
  /** Names met in each open object; undefined for an open array. */
  const open: (Set<string> | undefined)[] = []
  let nameIsNext = false
  let values = 0
  for (let at = 0; at < text.length; at++) {
    switch (text[at]) {
      case '"': {
        const end = endOfString(text, at)
        if (nameIsNext) addName(open.at(-1), text.slice(at, end + 1))
        nameIsNext = false
        at = end
        break
      }
      case '{':
      case '[':
        open.push(text[at] === '{' ? new Set() : undefined)
        if (open.length > maxDepth) throw malformed(`the body is nested deeper than ${maxDepth} levels`)
        nameIsNext = text[at] === '{'
        break
      case '}':
      case ']':
        open.pop()
        nameIsNext = false
        break
      case ',':
        if (++values > maxValues) throw malformed(`the body has more than ${maxValues} values`)
        nameIsNext = open.at(-1) !== undefined
        break
      default:
    }
  }
}

/** The index of the closing quote. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let backslashes = 0
    while (text[end - 1 - backslashes] === '\\') backslashes += 1
    if (backslashes % 2 === 0) return end
  }
  return text.length
}

function addName(names: Set<string> | undefined, literal: string): void {
  const name = nameIn(literal)
  if (name === undefined || names === undefined) return
  if (names.has(name)) throw malformed(`the body names a field twice: ${name.slice(0, 64)}`)
  if (names.size === maxNames) throw malformed(`an object of the body has more than ${maxNames} names`)
  names.add(name)
}

function nameIn(literal: string): string | undefined {
  if (!literal.includes('\\')) return literal.slice(1, -1)
  try {
    return String(JSON.parse(literal))
  } catch {
    return undefined
  }
}

function malformed(message: string): ServiceError {
  return new ServiceError('malformed_request', message)
}

function tooLarge(maxBytes: number): ServiceError {
  if (maxBytes === 0) return malformed('this route takes no body')
  return new ServiceError('body_too_large', `this route takes a body of at most ${maxBytes} bytes`)
}
