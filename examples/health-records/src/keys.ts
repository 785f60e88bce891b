/** Who opens data keys, where they are stored, and what the application does with them: make, rotate, destroy. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs'

import { generateIdentity, openKeyring, parseIdentity } from '@longhold/core'
import type { Identity, Keyring, Recipient, WrappedKeyStore } from '@longhold/core'
import { KmsClient, KmsIdentity, kmsRecipient } from '@longhold/core/kms'

/** An identity in a file of this machine, or a key of the key service, which never leaves it. */
export type KeyHolder =
  | { readonly identityFile: string }
  | { readonly kmsUrl: string; readonly tokenFile: string; readonly key: string }

/** The name of a patient's data keys. */
export const patientKeys = 'patient'
/** A patient has few records: without this, each would get another data key every day. And files may be large. */
const limits = { maxAgeMs: 365 * 24 * 60 * 60 * 1000, maxBytes: 2 ** 40 }

export class Keys {
  readonly keyring: Keyring
  readonly #holder: Holder

  private constructor(keyring: Keyring, holder: Holder) {
    this.keyring = keyring
    this.#holder = holder
  }

  static async open(keyHolder: KeyHolder, store: WrappedKeyStore): Promise<Keys> {
    const holder = 'kmsUrl' in keyHolder ? serviceHolder(keyHolder) : localHolder(keyHolder.identityFile)
    const recipients = [await holder.recipient()]
    const keyring = openKeyring({ identities: [holder.identity], recipients, store, limits })
    return new Keys(keyring, holder)
  }

  /** The data keys of one patient. Reading makes none, so that nobody who is forgotten gets new ones. */
  ofPatient = (patient: string) => this.keyring.handle(patientKeys, { keyContext: keyContextOf(patient) })

  /** One for all patients, or nobody could be found by a number. */
  index = () => this.keyring.handle(patientKeys)

  /** New data keys for new data, and every data key wrapped for the holder's newest key. Data is not touched. */
  async rotate(): Promise<{ rotated: number; rewrapped: number; failed: number }> {
    const begun = new Date()
    const recipients = [await this.#holder.recipient()]
    const { rewrapped, failed } = await this.keyring.rewrap({ recipients })
    let rotated = 0
    for await (const { name, keyContext, state, createdAt } of this.keyring.dataKeys()) {
      // What was made since turns up here too.
      if (name !== patientKeys || state !== 'writing' || createdAt >= begun) continue
      await this.keyring.rotate(name, { keyContext })
      rotated++
    }
    return { rotated, rewrapped, failed: failed.length }
  }

  /** What was encrypted for this patient is gone, wherever there are copies of it. */
  async forget(patient: string): Promise<number> {
    return await this.keyring.destroyAll(patientKeys, { keyContext: keyContextOf(patient) })
  }

  async close(): Promise<void> {
    await this.keyring.close()
  }
}

/** An opaque id: the key service sees it and writes it to its log. */
export const keyContextOf = (patient: string) => ({ patient })

interface Holder {
  readonly identity: Identity
  /** The newest public key: another one after the key service rotated. */
  recipient(): Promise<Recipient>
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
