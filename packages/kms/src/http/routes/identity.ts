/** `/v1/sys/identity`: whom the signatures of this service are of. For everybody: clients pin its fingerprint. */

import { createRoute } from '@hono/zod-openapi'
import { toBase64url, toHex } from '@longhold/core'

import type { Service } from '../../service/service.ts'
import { fingerprint } from '../../service/signing.ts'
import { signingIdentity } from '../../wire.ts'
import { jsonAnswer, problems } from '../documents.ts'
import type { App } from '../env.ts'

const readIdentity = createRoute({
  method: 'get',
  path: '/v1/sys/identity',
  summary: 'Whom the signatures of this service are of',
  responses: {
    200: jsonAnswer(signingIdentity, 'Its public key, and the fingerprint to compare'),
    ...problems,
  },
})

export function identityRoutes(app: App, { signer }: Service): void {
  app.openapi(readIdentity, (c) => {
    const { clusterId, publicKey } = signer
    return c.json(
      {
        cluster_id: toHex(clusterId),
        algorithm: 'ML-DSA-65' as const,
        public_key: toBase64url(publicKey),
        fingerprint: fingerprint(publicKey),
      },
      200,
    )
  })
}
