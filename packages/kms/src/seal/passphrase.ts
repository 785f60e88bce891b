/** A slot that is a passphrase: Argon2id (RFC 9106) makes its key. Nothing but people's memory holds the secret. */

import { argon2, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'

import { concat, Secret } from '@longhold/core'

import { ServiceError } from '../service/errors.ts'
import { framed } from '../service/framing.ts'
import { open, seal } from '../service/sealing.ts'
import type { SlotOpener } from '../service/slot-opener.ts'

/** What Argon2id costs. */
export interface Argon2Cost {
  /** KiB. */
  readonly memory: number
  readonly passes: number
  readonly lanes: number
}

/** RFC 9106 §4, the second recommended option. */
const writtenCost: Argon2Cost = { memory: 65_536, passes: 3, lanes: 4 }

/** What a row may ask for: 1 GiB, and no more work than 4 GiB filled once. Whoever writes to the database could
 *  otherwise have our memory or our time. */
const maxMemory = 1024 * 1024
const maxWork = 4 * maxMemory
const maxLanes = 16

/** Whoever has the database may guess for as long as he likes. */
export const minPassphraseLength = 12
const maxPassphraseBytes = 4096

/** Format (1), salt (16), memory (4), passes (4), lanes (1). */
const format = 1
const saltBytes = 16
const headBytes = 1 + saltBytes + 4 + 4 + 1

export class Passphrase implements SlotOpener {
  readonly kind = 'passphrase'
  readonly #secret: Secret
  readonly #cost: Argon2Cost

  private constructor(secret: Secret, cost: Argon2Cost) {
    this.#secret = secret
    this.#cost = cost
  }

  /**
   * @param text The same characters may come as other bytes from another keyboard, so they are normalised (NFC).
   * @param testingCost Of what is sealed; production uses the default.
   * @throws ServiceError `wrong_secret` for more than 4,096 bytes.
   */
  static from(text: string, testingCost: Argon2Cost = writtenCost): Passphrase {
    const bytes = Buffer.from(text.normalize('NFC'))
    try {
      if (bytes.length > maxPassphraseBytes) throw wrong('it is too long to be a passphrase')
      return new Passphrase(Secret.copyOf(bytes), testingCost)
    } finally {
      bytes.fill(0)
    }
  }

  /** Whether a passphrase is long enough to be taken as a new one: 12 characters. */
  static isLongEnough(text: string): boolean {
    return Array.from(text.normalize('NFC')).length >= minPassphraseLength
  }

  async seal(slotSecret: Uint8Array, bound: Uint8Array): Promise<Uint8Array> {
    const head = encodeHead(randomBytes(saltBytes), this.#cost)
    const key = await this.#key(head, this.#cost)
    try {
      return concat(head, seal(key, framed(head, bound), slotSecret))
    } finally {
      key.fill(0)
    }
  }

  async open(sealed: Uint8Array, bound: Uint8Array): Promise<Secret> {
    const head = sealed.subarray(0, headBytes)
    const key = await this.#key(head, decodeCost(head))
    try {
      const slotSecret = open(key, framed(head, bound), sealed.subarray(headBytes))
      if (slotSecret !== undefined) return slotSecret
    } finally {
      key.fill(0)
    }
    throw wrong('it is another one than this slot was made with', {
      hint: 'try again; capitals and the layout of the keyboard matter. Nothing was changed',
    })
  }

  close(): void {
    this.#secret.wipe()
  }

  async #key(head: Uint8Array, { memory, passes, lanes }: Argon2Cost): Promise<Buffer> {
    // A copy: the thread that computes may outlast a wipe.
    const message = this.#secret.use((bytes) => Buffer.from(bytes))
    const nonce = head.subarray(1, 1 + saltBytes)
    const parameters = { message, nonce, memory, passes, parallelism: lanes, tagLength: 32 }
    try {
      return await promisify(argon2)('argon2id', parameters)
    } finally {
      message.fill(0)
    }
  }
}

function encodeHead(salt: Uint8Array, { memory, passes, lanes }: Argon2Cost): Uint8Array {
  const head = new Uint8Array(headBytes)
  head[0] = format
  head.set(salt, 1)
  const view = new DataView(head.buffer)
  view.setUint32(1 + saltBytes, memory)
  view.setUint32(1 + saltBytes + 4, passes)
  view.setUint8(1 + saltBytes + 8, lanes)
  return head
}

/** Checked before memory is taken. */
function decodeCost(head: Uint8Array): Argon2Cost {
  if (head.length !== headBytes || head[0] !== format) throw damaged()
  const view = new DataView(head.buffer, head.byteOffset)
  const memory = view.getUint32(1 + saltBytes)
  const passes = view.getUint32(1 + saltBytes + 4)
  const lanes = view.getUint8(1 + saltBytes + 8)
  const isBounded =
    lanes >= 1 &&
    lanes <= maxLanes &&
    passes >= 1 &&
    memory >= 8 * lanes &&
    memory <= maxMemory &&
    memory * passes <= maxWork
  if (!isBounded) throw damaged()
  return { memory, passes, lanes }
}

function damaged(): ServiceError {
  return wrong('its row is not what this service wrote', {
    hint: 'use another slot, keep the database for examination and restore a backup',
  })
}

function wrong(why: string, options: { hint?: string } = {}): ServiceError {
  return new ServiceError('wrong_secret', `the passphrase does not open the root key: ${why}`, options)
}
