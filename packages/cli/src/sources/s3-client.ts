/**
 * The few operations of S3 that a run needs, addressed by path. Amazon's own client is some hundred packages for them;
 * what is left of S3 is HTTP, a signature and two short documents.
 */

import { createHash, hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { request as requestHttp } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { request as requestHttps } from 'node:https'
import { pipeline } from 'node:stream/promises'
import { setTimeout } from 'node:timers/promises'

import { Problem } from './problem.ts'
import { encoded, sign } from './s3-signature.ts'
import type { BucketConnection } from './s3-signature.ts'

export interface BucketRequest {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'DELETE'
  /** Undefined: the bucket itself. */
  readonly key?: string | undefined
  readonly query?: Readonly<Record<string, string>>
  /** Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>
  /** A file, or bytes. */
  readonly body?: { readonly path: string; readonly bytes: number } | Uint8Array
}

export interface ListedKey {
  readonly key: string
  readonly size: number
  readonly etag: string
}

const attempts = 4
const idleMs = 60_000
/** Of answers that are documents. */
const maxDocumentBytes = 16 * 1024 * 1024

export class BucketClient {
  readonly #connection: BucketConnection

  constructor(connection: BucketConnection) {
    this.#connection = connection
  }

  /**
   * An answer, its body still to be read. What the store cannot do now is asked again, a little later each time.
   *
   * @throws Problem `stopped` when the store cannot be reached, `wrong` when it does not know us.
   */
  async send(request: BucketRequest): Promise<IncomingMessage> {
    const digest = await digestOf(request.body)
    for (let attempt = 1; ; attempt++) {
      let answer: IncomingMessage
      try {
        answer = await this.#once(request, digest)
      } catch (error) {
        if (attempt < attempts) {
          await setTimeout(100 * 4 ** attempt)
          continue
        }
        throw new Problem('stopped', `${this.#connection.endpoint} cannot be reached: ${String(error)}`, {
          hint: 'run the same command again once it can',
          cause: error,
        })
      }
      const status = answer.statusCode ?? 0
      if (status < 500 || status === 501 || attempt === attempts) return answer
      answer.resume()
      await setTimeout(100 * 4 ** attempt)
    }
  }

  /** The whole answer; statuses that are not named are problems. */
  async ask(request: BucketRequest, ...expected: readonly number[]) {
    const answer = await this.send(request)
    const pieces: Buffer[] = []
    let size = 0
    for await (const piece of answer as AsyncIterable<Buffer>) {
      size += piece.length
      if (size <= maxDocumentBytes) pieces.push(piece)
    }
    const status = answer.statusCode ?? 0
    const text = Buffer.concat(pieces).toString()
    if (!expected.includes(status)) throw this.problem(request, status, text)
    return { status, headers: answer.headers, text, bytes: Buffer.concat(pieces) }
  }

  /** Keys after one, in the order of their UTF-8 bytes. */
  async list(prefix: string, after: string | undefined, maxKeys: number) {
    const { text } = await this.ask(
      {
        method: 'GET',
        query: {
          'list-type': '2',
          'encoding-type': 'url',
          'max-keys': String(maxKeys),
          prefix,
          ...(after === undefined || after === '' ? {} : { 'start-after': after }),
        },
      },
      200,
    )
    const keys = [...text.matchAll(/<Contents>(.*?)<\/Contents>/gsu)].map(([, entry = '']): ListedKey => {
      const key = decodeURIComponent((element(entry, 'Key') ?? '').replaceAll('+', ' '))
      return { key, size: Number(element(entry, 'Size')), etag: element(entry, 'ETag') ?? '' }
    })
    return { keys, isLast: element(text, 'IsTruncated') !== 'true' }
  }

  /** The error of an answer. Its text is the store's: a code, never more. */
  problem({ method, key = '' }: BucketRequest, status: number, text: string): Problem {
    const code = element(text, 'Code') ?? `HTTP ${status}`
    const where = `s3://${this.#connection.bucket}/${key}`
    const isClosed = status === 401 || status === 403
    return new Problem(status >= 500 || status === 429 ? 'stopped' : 'wrong', `${method} ${where}: ${code}`, {
      hint: isClosed
        ? 'check the credentials (AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_REGION) and what they permit'
        : 'see what the store says of it, then run the same command again',
    })
  }

  async #once({ method, key, query = {}, headers = {}, body }: BucketRequest, digest: string) {
    const { endpoint, bucket } = this.#connection
    const url = new URL(endpoint)
    const path = `/${[bucket, ...(key === undefined ? [] : key.split('/'))].map(encoded).join('/')}`
    const bytes = body === undefined ? 0 : 'path' in body ? body.bytes : body.length
    const sent = {
      ...headers,
      host: url.host,
      ...(method === 'PUT' ? { 'content-length': String(bytes) } : {}),
    }
    const signed = sign(
      this.#connection,
      { method, path, query, headers: sent, bodyDigest: digest },
      new Date(),
    )
    const open = url.protocol === 'http:' ? requestHttp : requestHttps
    const request = open(url, {
      method,
      path: signed.query === '' ? path : `${path}?${signed.query}`,
      headers: signed.headers,
      timeout: idleMs,
    })
    request.on('timeout', () => request.destroy(new Error('no answer')))
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      request.once('response', resolve)
      request.once('error', reject)
    })
    if (body !== undefined && 'path' in body) {
      // An answer may come, and the connection go, before the body was read.
      pipeline(createReadStream(body.path), request).catch(() => {})
    } else {
      request.end(body)
    }
    return await answered
  }
}

/** The text of the first element of a name, entities resolved. */
export function element(document: string, name: string): string | undefined {
  const [, text] = new RegExp(`<${name}>(.*?)</${name}>`, 'su').exec(document) ?? []
  return text
    ?.replaceAll('&quot;', '"')
    .replaceAll('&#34;', '"')
    .replaceAll('&apos;', "'")
    .replaceAll('&#39;', "'")
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&')
}

async function digestOf(body: BucketRequest['body']): Promise<string> {
  if (body === undefined || !('path' in body)) return hash('sha256', body ?? '')
  const digest = createHash('sha256')
  for await (const piece of createReadStream(body.path)) digest.update(piece as Buffer) // without an encoding
  return digest.digest('hex')
}
