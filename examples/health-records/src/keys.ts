/** Who opens data keys, where they are stored, and what the application does with them: make, rotate, destroy. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs'

import { equalBytes, generateIdentity, openKeyring, parseIdentity } from '@longhold/core'
import type { Identity, Keyring, PublicKeyRecipient, WrappedKeyStore } from '@longhold/core'
import { KmsClient, KmsIdentity, kmsRecipient } from '@longhold/core/kms'

/** An identity in a file of this machine, or a key of the key service, which never leaves it. */
export type KeyHolder =
  | { readonly identityFile: string }
  | { readonly kmsUrl: string; readonly tokenFile: string; readonly key: string }

/** The name of a patient's data keys. */
const patientKeys = 'patient'
/** A patient has few records: without this, each would get another data key every day. */
const maxAgeMs = 365 * 24 * 60 * 60 * 1000

export class Keys {
  readonly #store: WrappedKeyStore
  readonly #holder: Holder
  #recipient: PublicKeyRecipient
  #keyring: Keyring
  /** Requests may still be using them. */
  readonly #former: Keyring[] = []

  private constructor(store: WrappedKeyStore, holder: Holder, recipient: PublicKeyRecipient) {
    this.#store = store
    this.#holder = holder
    this.#recipient = recipient
    this.#keyring = this.#open()
  }

  static async open(keyHolder: KeyHolder, store: WrappedKeyStore): Promise<Keys> {
    const holder = 'kmsUrl' in keyHolder ? serviceHolder(keyHolder) : localHolder(keyHolder.identityFile)
    return new Keys(store, holder, await holder.recipient())
  }

  get keyring(): Keyring {
    return this.#keyring
  }

  /** The data keys of one patient, made when there are none: ask whether the patient is forgotten first. */
  ofPatient = (patient: string) => this.#keyring.dataKey(patientKeys, { keyContext: keyContextOf(patient) })

  /** One for all patients, or nobody could be found by a number. */
  index = () => this.#keyring.indexKey(patientKeys)

  /** New data keys for new data, and every data key wrapped for the holder's newest key. Data is not touched. */
  async rotate(): Promise<{ rotated: number; rewrapped: number; failed: number }> {
    const begun = new Date()
    const recipient = await this.#holder.recipient()
    if (!equalBytes(recipient.recipientId, this.#recipient.recipientId)) {
      this.#recipient = recipient
      this.#former.push(this.#keyring)
      this.#keyring = this.#open()
    }
    const { rewrapped, failed } = await this.#keyring.rewrap()
    let rotated = 0
    for await (const { name, keyContext, state, createdAt } of this.#keyring.dataKeys()) {
      // What was made since turns up here too.
      if (name !== patientKeys || state !== 'writing' || createdAt >= begun) continue
      await this.#keyring.rotate(name, { keyContext })
      rotated++
    }
    return { rotated, rewrapped, failed: failed.length }
  }

  /** What was encrypted for this patient is gone, wherever there are copies of it. */
  async forget(patient: string): Promise<number> {
    return await this.#keyring.destroyAll(patientKeys, { keyContext: keyContextOf(patient) })
  }

  async close(): Promise<void> {
    await Promise.all([...this.#former, this.#keyring].map((keyring) => keyring.close()))
  }

  #open(): Keyring {
    return openKeyring({
      identities: [this.#holder.identity],
      recipients: [this.#recipient],
      store: this.#store,
      limits: { maxAgeMs },
    })
  }
}

/** An opaque id: the key service sees it and writes it to its log. */
export const keyContextOf = (patient: string) => ({ patient })

interface Holder {
  readonly identity: Identity
  /** The newest public key: another one after the key service rotated. */
  recipient(): Promise<PublicKeyRecipient>
}

function localHolder(path: string): Holder {
  if (!existsSync(path)) {
    writeFileSync(path, `${generateIdentity().exportText()}\n`, { mode: 0o600, flag: 'wx', flush: true })
  }
  const identity = parseIdentity(readFileSync(path, 'utf8').trim())
  return { identity, recipient: async () => identity.recipient }
}

function serviceHolder({ kmsUrl, tokenFile, key }: Extract<KeyHolder, { kmsUrl: string }>): Holder {
  const client = new KmsClient({ url: kmsUrl, token: readFileSync(tokenFile, 'utf8').trim() })
  return {
    identity: new KmsIdentity(client, { keys: [key] }),
    recipient: () => kmsRecipient(client, key),
  }
}
