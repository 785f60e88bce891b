/** Objects of a bucket: how they are read, and what they have besides their bytes. */

import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'

import { ObjectChanged, ObjectRefused } from './object-source.ts'
import type { BucketPlace, OpenedObject } from './object-source.ts'
import { element } from './s3-client.ts'
import type { BucketClient } from './s3-client.ts'

const metadataPrefix = 'x-amz-meta-'

/** Kept from the old object; those that begin with `x-amz-meta-` are too. */
const keptHeaders = [
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-type',
  'expires',
  'x-amz-server-side-encryption',
  'x-amz-server-side-encryption-aws-kms-key-id',
  'x-amz-storage-class',
  'x-amz-website-redirect-location',
]

/** What Amazon's encryption clients keep beside an object: an envelope with it would be taken for theirs. */
const clientSideNames = new Set(
  [
    'key',
    'key-v2',
    'iv',
    'cek-alg',
    'wrap-alg',
    'tag-len',
    'matdesc',
    'unencrypted-content-length',
    'unencrypted-content-md5',
    'crypto-instr-file',
  ]
    .map((name) => `x-amz-${name}`)
    .concat(['x-amz-c', 'x-amz-3', 'x-amz-w', 'x-amz-d', 'x-amz-i', 'x-amz-t', 'x-amz-m']),
)

/** @throws ObjectChanged, ObjectRefused */
export async function openBucketObject(client: BucketClient, place: BucketPlace): Promise<OpenedObject> {
  const { name, size, version } = place
  const read = async (headers: Record<string, string>): Promise<IncomingMessage> => {
    const request = { method: 'GET', key: name, headers: { 'if-match': version, ...headers } } as const
    const answer = await client.send(request)
    const status = answer.statusCode ?? 0
    if (status === 200 || status === 206) return answer
    answer.resume()
    if (status === 404 || status === 412) throw new ObjectChanged(String(status))
    if (status === 403) throw new ObjectRefused('not_readable', 'the store does not give it to us')
    throw client.problem(request, status, '')
  }
  let metadata: Record<string, string> | undefined
  let head: Uint8Array | undefined
  return {
    size,
    get metadata() {
      return metadata
    },
    async head(maxBytes) {
      if (head !== undefined && head.length >= Math.min(maxBytes, size)) return head.subarray(0, maxBytes)
      const answer = await read(size === 0 ? {} : { range: `bytes=0-${Math.min(maxBytes, size) - 1}` })
      metadata = metadataOf(answer.headers)
      const pieces: Buffer[] = []
      for await (const piece of answer as AsyncIterable<Buffer>) pieces.push(piece)
      head = Buffer.concat(pieces)
      return head
    },
    async *pieces() {
      const answer = await read({})
      let left = size
      for await (const piece of answer as AsyncIterable<Buffer>) {
        left -= piece.length
        yield piece
      }
      if (left !== 0) throw new ObjectChanged('cut off')
    },
    // The store checks the tag at each reading.
    checkUnchanged: async () => {},
    close: async () => {},
  }
}

function metadataOf(headers: IncomingHttpHeaders): Record<string, string> {
  const own = Object.entries(headers).filter(([name]) => name.startsWith(metadataPrefix))
  return Object.fromEntries(own.map(([name, value]) => [name.slice(metadataPrefix.length), String(value)]))
}

/** What an object that takes the place of another is to be sent with. */
export interface BucketAttributes {
  readonly headers: Readonly<Record<string, string>>
  readonly etag: string
}

/**
 * @param isRestored False: for an envelope, without what encryption clients left.
 * @throws ObjectChanged, ObjectRefused `attributes`.
 */
export async function attributesOf(
  client: BucketClient,
  key: string,
  isRestored: boolean,
): Promise<BucketAttributes> {
  const { status, headers } = await client.ask({ method: 'HEAD', key }, 200, 403, 404, 405)
  if (status === 404 || status === 405) throw new ObjectChanged('gone')
  if (status === 403)
    throw new ObjectRefused('attributes', 'the store does not tell what it has besides its bytes')
  const kept: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value !== 'string') continue
    const isOwn = name.startsWith(metadataPrefix)
    const isClients = isOwn && clientSideNames.has(name.slice(metadataPrefix.length))
    if (keptHeaders.includes(name) || (isOwn && (isRestored || !isClients))) kept[name] = value
  }
  const tags = await client.ask({ method: 'GET', key, query: { tagging: '' } }, 200, 403, 404, 501)
  if (tags.status === 403) throw new ObjectRefused('attributes', 'the store does not tell its tags')
  const pairs = [...tags.text.matchAll(/<Tag>(.*?)<\/Tag>/gsu)].map(
    ([, tag = '']) =>
      `${encodeURIComponent(element(tag, 'Key') ?? '')}=${encodeURIComponent(element(tag, 'Value') ?? '')}`,
  )
  if (pairs.length > 0) kept['x-amz-tagging'] = pairs.join('&')
  return { headers: kept, etag: headers.etag ?? '' }
}
