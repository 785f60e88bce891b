/** Asks for a secret without showing it. */

import { stopped, usage } from './errors.ts'
import type { Terminal, Tty } from './terminal.ts'
import { printable } from './text.ts'

const interrupt = '\u0003'
const endOfInput = '\u0004'
const clearLine = '\u0015'

export class SecretPrompt implements Disposable {
  readonly #terminal: Terminal
  readonly #tty: Tty
  /** What was typed ahead. */
  #typed = ''

  constructor(terminal: Terminal, tty: Tty) {
    this.#terminal = terminal
    this.#tty = tty
    tty.input.setEncoding('utf8')
    // Before the first question: what is typed from now on does not show.
    tty.input.setRawMode(true)
  }

  /** @throws CliError with exit code 4 on Ctrl-C, 2 on Ctrl-D or when the terminal goes away. */
  async ask(question: string): Promise<string> {
    this.#terminal.checkStop()
    this.#tty.write(printable(question))
    try {
      return await this.#line()
    } finally {
      this.#tty.write('\n')
    }
  }

  [Symbol.dispose](): void {
    this.#tty.input.setRawMode(false)
    this.#tty.close()
  }

  async #line(): Promise<string> {
    const line: string[] = []
    for (;;) {
      for (const character of this.#typed) {
        this.#typed = this.#typed.slice(character.length)
        if (character === '\r' || character === '\n') return line.join('')
        if (character === interrupt)
          throw stopped('interrupted', { hint: 'run the same command again to go on' })
        if (character === endOfInput) throw usage('no passphrase was given')
        if (character === clearLine) line.length = 0
        else if (character === '\u007f' || character === '\b') line.pop()
        else if (character >= ' ') line.push(character)
      }
      this.#typed = await this.#read()
    }
  }

  async #read(): Promise<string> {
    const { input } = this.#tty
    const { signal } = this.#terminal
    return await new Promise<string>((resolve, reject) => {
      const settle = (act: () => void): void => {
        input.off('data', onData).off('end', onEnd).off('error', onEnd).pause()
        signal.removeEventListener('abort', onAbort)
        act()
      }
      const onData = (text: string): void => settle(() => resolve(text))
      const onEnd = (): void => settle(() => reject(usage('no passphrase was given: the terminal went away')))
      const onAbort = (): void => settle(() => reject(stopped('interrupted')))
      signal.addEventListener('abort', onAbort)
      input.on('data', onData).on('end', onEnd).on('error', onEnd).resume()
    })
  }
}
