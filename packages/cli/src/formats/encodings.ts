/** Text encodings of bytes as people's databases hold them, read strictly. */

export type Encoding = 'base64' | 'base64url' | 'hex' | 'binary' | 'utf8'

/**
 * The bytes of a text; undefined unless it is one of the spellings the encoding allows: base64 and base64url with
 * all of their padding or none, base64 with line breaks, hexadecimal in either case. Unused low bits are zero.
 */
export function decodeText(text: string, encoding: Exclude<Encoding, 'binary'>): Buffer | undefined {
  return decoders[encoding](text)
}

const decoders: Readonly<Record<Exclude<Encoding, 'binary'>, (text: string) => Buffer | undefined>> = {
  utf8: (text) => (text.isWellFormed() ? Buffer.from(text, 'utf8') : undefined),
  hex: (text) =>
    text.length % 2 === 0 && /^[0-9a-fA-F]*$/.test(text) ? Buffer.from(text, 'hex') : undefined,
  base64: (text) => decodeBase64(text.includes('\n') ? text.replaceAll(/\r?\n/g, '') : text, 'base64'),
  base64url: (text) => decodeBase64(text, 'base64url'),
}

function decodeBase64(text: string, encoding: 'base64' | 'base64url'): Buffer | undefined {
  const bytes = Buffer.from(text, encoding)
  // Node's decoder skips what it does not know and takes both alphabets: writing it again shows what it skipped.
  const again = bytes.toString(encoding)
  if (again === text) return bytes
  const padding = (4 - (again.length % 4)) % 4
  if (encoding === 'base64url') return again + '='.repeat(padding) === text ? bytes : undefined
  return again.endsWith('=') && again.replace(/=+$/, '') === text ? bytes : undefined
}
