/** What browser bundles have in place of `base64-native` (`browser` in package.json). */

export type { Base64url } from './base64-native.ts'

export function nativeBase64url(): undefined {
  return undefined
}
