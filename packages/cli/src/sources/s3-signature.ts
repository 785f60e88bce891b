/**
 * Signature Version 4 of Amazon's APIs, for requests whose body is known before it is sent ("Authenticating Requests:
 * Using the Authorization Header", Amazon S3 API Reference).
 */

import { createHmac, hash } from 'node:crypto'

/** A store and who we are to it; plain data, which goes to workers. */
export interface BucketConnection {
  /** Without a path: `https://s3.eu-central-1.amazonaws.com`. */
  readonly endpoint: string
  readonly bucket: string
  readonly region: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken: string | undefined
}

export interface SignedParts {
  readonly method: string
  /** Encoded, from the first slash on. */
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** SHA-256 of the body, hexadecimal. */
  readonly bodyDigest: string
}

/** @returns The headers to send, and the query as it was signed. */
export function sign(
  { region, accessKeyId, secretAccessKey, sessionToken }: BucketConnection,
  { method, path, query, headers, bodyDigest }: SignedParts,
  now: Date,
): { readonly headers: Record<string, string>; readonly query: string } {
  const time = now.toISOString().replaceAll(/[-:]|\.\d+/gu, '')
  const scope = `${time.slice(0, 8)}/${region}/s3/aws4_request`
  const all: Record<string, string> = {
    ...headers,
    'x-amz-content-sha256': bodyDigest,
    'x-amz-date': time,
    ...(sessionToken === undefined ? {} : { 'x-amz-security-token': sessionToken }),
  }
  const names = Object.keys(all).toSorted()
  const signedNames = names.join(';')
  const queryText = Object.keys(query)
    .toSorted()
    .map((name) => `${encoded(name)}=${encoded(query[name] ?? '')}`)
    .join('&')
  const canonical = [
    method,
    path,
    queryText,
    ...names.map((name) => `${name}:${(all[name] ?? '').trim().replaceAll(/ +/gu, ' ')}`),
    '',
    signedNames,
    bodyDigest,
  ].join('\n')
  const toSign = ['AWS4-HMAC-SHA256', time, scope, hash('sha256', canonical)].join('\n')
  let key: Uint8Array = Buffer.from(`AWS4${secretAccessKey}`)
  for (const part of scope.split('/')) key = createHmac('sha256', key).update(part).digest()
  const signature = createHmac('sha256', key).update(toSign).digest('hex')
  const authorization = `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${signedNames}, Signature=${signature}`
  return { headers: { ...all, authorization }, query: queryText }
}

/** Everything but unreserved characters (RFC 3986 §2.3). */
export function encoded(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/gu,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}
