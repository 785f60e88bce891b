import { hash } from 'node:crypto'

import { expect, test } from 'vitest'

import { element } from '../../src/sources/s3-client.ts'
import { encoded, sign } from '../../src/sources/s3-signature.ts'

// "Signature Calculations for the Authorization Header", Amazon S3 API Reference.
const connection = {
  endpoint: 'https://examplebucket.s3.amazonaws.com',
  bucket: 'examplebucket',
  region: 'us-east-1',
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  sessionToken: undefined,
}
const now = new Date('2013-05-24T00:00:00Z')
const host = 'examplebucket.s3.amazonaws.com'

test.each([
  {
    what: 'a part of an object',
    parts: { method: 'GET', path: '/test.txt', query: {}, headers: { host, range: 'bytes=0-9' } },
    body: '',
    signature: 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
  },
  {
    what: 'an object that is put',
    parts: {
      method: 'PUT',
      path: `/${encoded('test$file.text')}`,
      query: {},
      headers: { host, date: 'Fri, 24 May 2013 00:00:00 GMT', 'x-amz-storage-class': 'REDUCED_REDUNDANCY' },
    },
    body: 'Welcome to Amazon S3.',
    signature: '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
  },
  {
    what: 'a question without a value',
    parts: { method: 'GET', path: '/', query: { lifecycle: '' }, headers: { host } },
    body: '',
    signature: 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543',
  },
  {
    what: 'a list',
    parts: { method: 'GET', path: '/', query: { 'max-keys': '2', prefix: 'J' }, headers: { host } },
    body: '',
    signature: '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
  },
])('$what is signed as Amazon shows it', ({ parts, body, signature }) => {
  const { headers } = sign(connection, { ...parts, bodyDigest: hash('sha256', body) }, now)
  expect(headers['authorization']).toContain(`Signature=${signature}`)
})

test('elements of documents', () => {
  expect(element('<a><ETag>&quot;1&amp;lt;&quot;</ETag></a>', 'ETag')).toBe('"1&lt;"')
  expect(element('<Key></Key>', 'Key')).toBe('')
  expect(element('<Keys>x</Keys>', 'Key')).toBeUndefined()
})
