/** Public keys from the service: checked before anybody wraps for one. */

import { concat, fromBase64url } from '../bytes.ts'
import type { KeyPurpose } from './keys-wire.ts'
import { unavailable, strangeAnswer } from './problems.ts'
import { notSigned, PinnedIdentity } from './service-identity.ts'
import type { PublicKeyBundle, SigningIdentity } from './wire.ts'

/** How many keys' generations are remembered; the one heard of least recently is forgotten first. */
const maxKeys = 10_000
/** No bundle is good for longer, whatever it says. */
const maxLifeMs = 24 * 60 * 60 * 1000
/** By how much two clocks may differ. */
const maxSkewMs = 5 * 60 * 1000

export interface BundlesOptions {
  readonly url: string
  /** SHA-256 of the public key of the service's signing identity; without it no signature is asked for. */
  readonly pinned: Uint8Array | undefined
  readonly ask: (key: string, purpose: KeyPurpose) => Promise<PublicKeyBundle>
  readonly askIdentity: () => Promise<SigningIdentity>
}

interface Seen {
  readonly generation: number
  readonly version: number
}

export class Bundles {
  readonly #options: BundlesOptions
  /** By key. */
  #seen = new Map<string, Seen>()
  #identity: Promise<PinnedIdentity> | undefined

  constructor(options: BundlesOptions) {
    this.#options = options
  }

  /** Remembers what the other one does, from now on both. */
  adopt(other: Bundles): void {
    this.#seen = other.#seen
    this.#identity = other.#identity
  }

  /**
   * @param name Of a key, or an alias.
   * @throws LongholdError `unavailable` for a bundle that is over, older than one seen before, or not signed by the
   * pinned identity.
   */
  async get(name: string, purpose: KeyPurpose): Promise<PublicKeyBundle> {
    const bundle = await this.#options.ask(name, purpose)
    const { url } = this.#options
    const parsed = parse(bundle)
    if (parsed === undefined) throw strangeAnswer(url)
    if (this.#options.pinned !== undefined) await this.#checkSignature(name, bundle, parsed)
    const { issuedAt, notAfter } = parsed
    const now = Date.now()
    if (notAfter <= now || now > issuedAt + maxLifeMs + maxSkewMs || issuedAt > now + maxSkewMs) {
      throw unavailable(`the public key of ${bundle.key} from ${url} is not good now`, {
        hint: 'somebody replays an old answer, or the two clocks differ by more than five minutes',
      })
    }
    this.#checkGeneration(bundle)
    return bundle
  }

  #checkGeneration({ key, generation, version }: PublicKeyBundle): void {
    const seen = this.#seen.get(key)
    const isOlder = seen !== undefined && generation < seen.generation
    const isOther = seen !== undefined && generation === seen.generation && version !== seen.version
    if (isOlder || isOther) {
      throw unavailable(
        `the key service at ${this.#options.url} gave an older public key of ${key} than before`,
        {
          hint: 'somebody replays an old answer, or its database was put back: see to the service first',
        },
      )
    }
    this.#seen.delete(key)
    this.#seen.set(key, { generation, version })
    const [oldest] = this.#seen.keys()
    if (this.#seen.size > maxKeys && oldest !== undefined) this.#seen.delete(oldest)
  }

  async #checkSignature(name: string, bundle: PublicKeyBundle, parsed: Parsed): Promise<void> {
    const identity = await (this.#identity ??= this.#fetchIdentity().catch((error: unknown) => {
      this.#identity = undefined
      throw error
    }))
    const { key, version, generation, recipient } = bundle
    const { recipientIds, issuedAt, notAfter } = parsed
    const parts = [name, key, version, generation, recipient, recipientIds, issuedAt, notAfter]
    if (!identity.hasSigned('bundle', parts, bundle)) {
      throw notSigned(this.#options.url, `the public key of ${name}`)
    }
  }

  async #fetchIdentity(): Promise<PinnedIdentity> {
    const { url, pinned = new Uint8Array(), askIdentity } = this.#options
    return new PinnedIdentity(url, await askIdentity(), pinned)
  }
}

interface Parsed {
  /** One after the other. */
  readonly recipientIds: Uint8Array
  readonly issuedAt: number
  readonly notAfter: number
}

/** The service may be another than its types say. */
function parse(bundle: PublicKeyBundle | undefined): Parsed | undefined {
  const { key, version, generation, recipient, recipient_ids: texts } = bundle ?? {}
  if (typeof key !== 'string' || typeof recipient !== 'string' || !Array.isArray(texts)) return undefined
  const isNumbered = [version, generation].every((one) => Number.isSafeInteger(one) && Number(one) > 0)
  const ids = texts.map((text) => (typeof text === 'string' ? fromBase64url(text) : undefined))
  const issuedAt = Date.parse(bundle?.issued_at ?? '')
  const notAfter = Date.parse(bundle?.not_after ?? '')
  if (!isNumbered || !(issuedAt > 0) || !(notAfter > 0)) return undefined
  if (!ids.every((id) => id?.length === 16)) return undefined
  return { recipientIds: concat(...ids.filter((id) => id !== undefined)), issuedAt, notAfter }
}
