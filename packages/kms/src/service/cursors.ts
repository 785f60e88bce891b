/**
 * Where a page of a list ended, as a text that only this service can read and make: AES-256-GCM under its own key
 * `cursor`. It is bound to the list it came from and to whoever asked, and says nothing of names to others.
 */

import { fromBase64url, toBase64url, utf8 } from '@longhold/core'

import { ServiceError } from './errors.ts'
import { framed } from './framing.ts'
import type { OwnKey } from './own-keys.ts'
import { open, seal } from './sealing.ts'

const label = 'longhold/kms/v1/cursor'
/** Far above the longest position, so that nobody makes us open megabytes. */
const maxCursorBytes = 512

/** What a cursor is good for. */
export interface CursorScope {
  /** Method, path and everything that filters the list. */
  readonly list: string
  /** The id of the token. */
  readonly principal: string
}

export class Cursors {
  readonly #key: () => OwnKey

  /** @param key The newest key; asked each time, since it can be replaced. Older cursors are void then. */
  constructor(key: () => OwnKey) {
    this.#key = key
  }

  make(scope: CursorScope, position: string): string {
    const { secret, version } = this.#key()
    return secret.use((key) => toBase64url(seal(key, associated(scope, version), utf8(position))))
  }

  /** @throws ServiceError `malformed_request` for a cursor of another list, of somebody else, or of nobody. */
  read(scope: CursorScope, text: string): string {
    const sealed = text.length > maxCursorBytes ? undefined : fromBase64url(text)
    if (sealed === undefined) throw strangeCursor()
    const { secret, version } = this.#key()
    const opened = secret.use((key) => open(key, associated(scope, version), sealed))
    if (opened === undefined) throw strangeCursor()
    return opened.use((bytes) => Buffer.from(bytes).toString())
  }
}

function associated({ list, principal }: CursorScope, version: number): Uint8Array {
  return framed(label, version, list, principal)
}

function strangeCursor(): ServiceError {
  return new ServiceError('malformed_request', 'this cursor is from no page of this list', {
    hint: 'give back what the page before said, to the same address and with the same token',
  })
}
