/** Where files of a benchmark lie: in memory where the platform has such a place, so that no disk is measured. */

import { existsSync, mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const tmpfs = 0x01021994

export class ScratchDirectory implements Disposable {
  readonly #path: string

  /** @param inside Another place, where the default is not wanted. */
  constructor(inside: string = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()) {
    this.#path = mkdtempSync(join(inside, 'longhold-bench-'))
  }

  get fileSystem(): string {
    return statfsSync(this.#path).type === tmpfs ? 'tmpfs' : 'another'
  }

  file(name: string): string {
    return join(this.#path, name)
  }

  [Symbol.dispose](): void {
    rmSync(this.#path, { recursive: true, force: true })
  }
}
