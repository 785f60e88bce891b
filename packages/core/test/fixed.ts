/** Containers whose every byte is fixed: the randomness of wraps and bodies is given, which noble alone takes. */

import { concat, utf8 } from '../src/bytes.ts'
import { canonicalize } from '../src/format/context.ts'
import type { ContextInput } from '../src/format/context.ts'
import { sealContainer, sealRecord } from '../src/keys/data-key.ts'
import type { DataKey } from '../src/keys/data-key.ts'
import type { LocalIdentity } from '../src/keys/identity.ts'
import { PublicKeyRecipient, sealStanza } from '../src/keys/recipient.ts'
import { sealStanzas } from '../src/keys/wrapped-key.ts'
import { onBackend } from './backends.ts'
import { filled } from './samples.ts'

interface Fixed {
  readonly dataKey: DataKey
  readonly identities: readonly LocalIdentity[]
  readonly context: ContextInput
}

async function fixedHeader({ dataKey, identities, context }: Fixed): Promise<Uint8Array> {
  const canonical = canonicalize(context)
  const bound = { keyId: dataKey.keyId, keyContext: canonical.pairs }
  return onBackend('noble', () => {
    const stanzas = identities.map(({ recipient: { kemId, publicKey } }, i) =>
      dataKey.use((bytes) => {
        // Prepared anew, on this backend.
        const recipient = PublicKeyRecipient.fromPublicKey(kemId, publicKey)
        return sealStanza(recipient, bytes, bound, filled(0x30 + i, 64))
      }),
    )
    return sealStanzas(dataKey, stanzas, canonical)
  })
}

export async function fixedWrappedKey(fixed: Fixed): Promise<Uint8Array> {
  return concat(utf8('LHK\u0001'), await fixedHeader(fixed))
}

export async function fixedEnvelope(fixed: Fixed, plaintext: Uint8Array): Promise<Uint8Array> {
  const header = await fixedHeader(fixed)
  const salt = { testingSalt: filled(0x20, 24) }
  return sealContainer('envelope', fixed.dataKey, header, plaintext, fixed.context, salt)
}

export function fixedRecord({ dataKey, context }: Fixed, plaintext: Uint8Array): Uint8Array {
  return sealRecord(dataKey, plaintext, context, { testingSalt: filled(0x21, 24) })
}
