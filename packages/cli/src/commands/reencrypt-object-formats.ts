/** The formats that whole objects may be of, and the workers' share of a run over objects. */

import { builtInFormats } from '../formats/built-in.ts'
import type { BuiltInFormat } from '../formats/built-in.ts'
import { LegacyError } from '../formats/legacy-format.ts'
import type { LegacyStreamFormat } from '../formats/legacy-stream.ts'
import type { PrivateKeyEntry } from '../legacy-keys/private-key-set.ts'
import type { ObjectFormat } from '../reencrypt/object-formats.ts'
import { usage } from '../shell/errors.ts'
import type { BucketConnection } from '../sources/s3-signature.ts'
import { chooseFormats } from './reencrypt-config.ts'
import type { ReencryptConfig } from './reencrypt-config.ts'
import { columnsOf, foreignReaders, makeFormats, nameOf } from './reencrypt-formats.ts'
import type { FormatChoice } from './reencrypt-formats.ts'

/** What layouts call the whole of an object. */
const content = 'content'

/** Plain data and KeyObjects: what can be sent to a worker. */
export interface ObjectWorkerSettings {
  readonly formats: readonly FormatChoice[]
  readonly privateKeys: readonly PrivateKeyEntry[]
  readonly acceptUnauthenticated: boolean
  readonly isConsumerReady: boolean
  readonly digestKey: Uint8Array
  /** Of a bucket. */
  readonly connection: BucketConnection | undefined
  /** Extended attributes of files are kept. */
  readonly withExtended: boolean
}

/** Those that were named, or all that an object can be of. @throws CliError (exit 2) for one of several columns. */
export function chooseObjectFormats(
  names: readonly string[] | undefined,
  config: ReencryptConfig,
): FormatChoice[] {
  const choices = chooseFormats(names ?? config.format, config.formats, content)
  return choices.filter((choice) => {
    const { own, read } = columnsOf([choice], content)
    if (own.length === 1 && read.length === 0) return true
    if (names === undefined) return false
    throw usage(`--format ${nameOf(choice)}: it is of several columns, and an object has none`, {
      hint: 'it is for tables and files of records',
    })
  })
}

/** @param isConsumerReady False: objects that somebody else reads too are recognised, and do not open. */
export async function makeObjectFormats(
  choices: readonly FormatChoice[],
  isConsumerReady: boolean,
): Promise<ObjectFormat[]> {
  const formats: ObjectFormat[] = []
  for (const choice of choices) {
    const name = nameOf(choice)
    const format: BuiltInFormat | undefined =
      choice.kind === 'declared' ? undefined : builtInFormats[choice.type]
    if (format?.loadStream === undefined) {
      const [value] = await makeFormats([choice], [content], isConsumerReady)
      if (value !== undefined) formats.push({ name, value })
    } else {
      const stream = await format.loadStream(choice.kind === 'declared' ? undefined : choice.settings)
      const [reader] = isConsumerReady ? [] : foreignReaders([choice])
      formats.push({ name, stream: reader === undefined ? stream : onlyRecognizing(stream, reader) })
    }
  }
  return formats
}

function onlyRecognizing(format: LegacyStreamFormat, reader: string): LegacyStreamFormat {
  return {
    name: format.name,
    recognize(head, about) {
      const stream = format.recognize(head, about)
      if (stream === undefined) return undefined
      const { keyId, wrapping, body, isAuthenticated } = stream
      return { keyId, wrapping, body, isAuthenticated, open: () => failing(reader) }
    },
  }
}

// eslint-disable-next-line require-yield -- it is the first reading that fails
async function* failing(reader: string): AsyncGenerator<Uint8Array, void, void> {
  throw new LegacyError('foreign_reader', `${reader} reads it too`)
}
