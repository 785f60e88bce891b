/** Messages by the AWS Encryption SDK for JavaScript. */

import { constants, createPublicKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

import { buildEncrypt } from '@aws-crypto/encrypt-node'
import {
  AlgorithmSuiteIdentifier,
  CommitmentPolicy,
  MultiKeyringNode,
} from '@aws-crypto/material-management-node'
import { RawRsaKeyringNode } from '@aws-crypto/raw-rsa-keyring-node'

import { oldKey } from './legacy-values.ts'

const { encrypt } = buildEncrypt({
  commitmentPolicy: CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT,
  maxEncryptedDataKeys: false,
})
const { encrypt: encryptCommitting } = buildEncrypt({
  commitmentPolicy: CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
  maxEncryptedDataKeys: false,
})

export type AwsPadding = 'pkcs1' | 'sha1' | 'sha256' | 'sha384' | 'sha512'

export interface AwsOptions {
  readonly key?: KeyObject
  readonly keyName?: string
  readonly padding?: AwsPadding
  readonly suiteId?: AlgorithmSuiteIdentifier
  readonly frameLength?: number
  readonly context?: Record<string, string>
  /** A second recipient. */
  readonly also?: KeyObject
}

function keyring(key: KeyObject, keyName: string, padding: AwsPadding): RawRsaKeyringNode {
  return new RawRsaKeyringNode({
    keyNamespace: 'orders',
    keyName,
    rsaKey: { publicKey: createPublicKey(key).export({ type: 'spki', format: 'pem' }) },
    ...(padding === 'pkcs1' ? { padding: constants.RSA_PKCS1_PADDING } : { oaepHash: padding }),
  })
}

function isCommitting(suiteId: AlgorithmSuiteIdentifier): boolean {
  return (
    suiteId === AlgorithmSuiteIdentifier.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY ||
    suiteId === AlgorithmSuiteIdentifier.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY_ECDSA_P384
  )
}

export async function awsEncrypt(
  plaintext: Uint8Array | string,
  {
    key = oldKey,
    keyName = '2019',
    padding = 'sha256',
    suiteId = AlgorithmSuiteIdentifier.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY,
    frameLength,
    context = { tenant: 'ann' },
    also,
  }: AwsOptions = {},
): Promise<Buffer> {
  const generator = keyring(key, keyName, padding)
  const keyrings =
    also === undefined
      ? generator
      : new MultiKeyringNode({ generator, children: [keyring(also, 'other', padding)] })
  const { result } = await (isCommitting(suiteId) ? encryptCommitting : encrypt)(
    keyrings,
    Buffer.from(plaintext),
    {
      suiteId,
      encryptionContext: context,
      ...(frameLength === undefined ? {} : { frameLength }),
    },
  )
  return result
}
