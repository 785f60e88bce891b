/** base64url of the engine, some fifteen times as quick as ours. Browsers, where only keys and records are text, do without. */

/** Strict as SPEC §6.6 says. */
export interface Base64url {
  readonly encode: (bytes: Uint8Array) => string
  readonly decode: (text: string) => Uint8Array<ArrayBuffer> | undefined
}

/** Newer than the types and than some runtimes (ES2026). */
interface NativeBase64 {
  readonly fromBase64?: (text: string, options: object) => Uint8Array<ArrayBuffer>
  readonly prototype: { readonly toBase64?: (options: object) => string }
}

/** `undefined` where the engine has none, or one that does something else. */
export function nativeBase64url(): Base64url | undefined {
  const {
    fromBase64,
    prototype: { toBase64 },
  } = Uint8Array as NativeBase64 // the type says what may be there
  if (fromBase64 === undefined || toBase64 === undefined) return undefined
  const encoding = { alphabet: 'base64url', omitPadding: true }
  // Strict is right about unused bits alone, and wants the padding.
  const decoding = { alphabet: 'base64url', lastChunkHandling: 'strict' }
  const native: Base64url = {
    // Called so for a Buffer, and for bytes of another realm.
    encode: (bytes) => toBase64.call(bytes, encoding),
    decode(text) {
      if (text.length % 4 === 1) return undefined
      try {
        const bytes = fromBase64.call(Uint8Array, text + '='.repeat(-text.length & 3), decoding)
        // It skips white space and takes padding: there are fewer bytes then than the characters stand for.
        return bytes.length === Math.floor((text.length * 3) / 4) ? bytes : undefined
      } catch {
        return undefined
      }
    },
  }
  const sample = Uint8Array.of(0xfb, 0xff, 0xfe, 0x00)
  const works = native.encode(sample) === '-__-AA' && native.decode('-__-AA')?.join() === sample.join()
  return works && native.decode('AB') === undefined ? native : undefined
}
