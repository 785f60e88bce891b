/** `s3://BUCKET/PREFIX`, the store it is in, and who we are to it: from the environment and the usual files, never from flags. */

import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'

import { fileError, usage } from '../shell/errors.ts'
import type { Terminal } from '../shell/terminal.ts'
import type { BucketConnection } from '../sources/s3-signature.ts'

export interface BucketAddress {
  readonly bucket: string
  readonly prefix: string
}

/** Undefined for anything but `s3://…`. */
export function bucketAddress(shown: string): BucketAddress | undefined {
  if (!shown.startsWith('s3://')) return undefined
  const [bucket = '', ...rest] = shown.slice('s3://'.length).split('/')
  if (/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/u.test(bucket)) return { bucket, prefix: rest.join('/') }
  throw usage(`${shown}: no name of a bucket`, { hint: 'say s3://BUCKET or s3://BUCKET/PREFIX' })
}

/** @throws CliError (exit 2) without credentials. */
export async function connectionTo(
  terminal: Terminal,
  { bucket }: BucketAddress,
  endpointGiven: string | undefined,
): Promise<BucketConnection> {
  const { env } = terminal.io
  const profile = env['AWS_PROFILE'] ?? 'default'
  const home = env['HOME'] ?? homedir()
  const files = {
    credentials: env['AWS_SHARED_CREDENTIALS_FILE'] ?? join(home, '.aws', 'credentials'),
    config: env['AWS_CONFIG_FILE'] ?? join(home, '.aws', 'config'),
  }
  const own = await sectionOf(files.credentials, profile)
  const config = await sectionOf(files.config, profile === 'default' ? profile : `profile ${profile}`)
  const region = env['AWS_REGION'] ?? env['AWS_DEFAULT_REGION'] ?? config.get('region') ?? 'us-east-1'
  const fromEnv = env['AWS_ACCESS_KEY_ID'] !== undefined
  const accessKeyId = fromEnv ? env['AWS_ACCESS_KEY_ID'] : own.get('aws_access_key_id')
  const secretAccessKey = fromEnv ? env['AWS_SECRET_ACCESS_KEY'] : own.get('aws_secret_access_key')
  if (accessKeyId === undefined || secretAccessKey === undefined) {
    throw usage(`no credentials for s3://${bucket}`, {
      hint: 'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE for a section of ~/.aws/credentials',
    })
  }
  const endpoint =
    endpointGiven ??
    env['AWS_ENDPOINT_URL_S3'] ??
    env['AWS_ENDPOINT_URL'] ??
    config.get('endpoint_url') ??
    `https://s3.${region}.amazonaws.com`
  const sessionToken = fromEnv ? env['AWS_SESSION_TOKEN'] : own.get('aws_session_token')
  return { endpoint: checkEndpoint(endpoint), bucket, region, accessKeyId, secretAccessKey, sessionToken }
}

function checkEndpoint(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isPlain = url !== undefined && url.pathname === '/' && url.search === '' && url.username === ''
  if (isPlain && (url.protocol === 'https:' || url.protocol === 'http:')) return url.origin
  throw usage(`--endpoint ${text}: not the address of a store`, {
    hint: 'say https://HOST or https://HOST:PORT',
  })
}

/** Of an INI file as Amazon's tools write it; empty where there is none. */
async function sectionOf(path: string, name: string): Promise<ReadonlyMap<string, string>> {
  const values = new Map<string, string>()
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && ['ENOENT', 'ENOTDIR'].includes(String(error.code)))
      return ''
    throw fileError(error, path, 'read')
  })
  let isIn = false
  for (const line of text.split(/\r?\n/u)) {
    const [, section] = /^\s*\[\s*(.*?)\s*\]/u.exec(line) ?? []
    if (section !== undefined) isIn = section === name
    const [, key, value] = /^([a-z_]+)\s*=\s*(.*?)\s*$/u.exec(line) ?? []
    if (isIn && key !== undefined && value !== undefined) values.set(key, value)
  }
  return values
}
