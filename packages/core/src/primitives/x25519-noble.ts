/**
 * noble's X25519, quick with the base point by the tables of the Edwards curve. Browser bundles have `x25519-ladder`
 * in its place (`browser` in package.json).
 */

export { x25519 } from '@noble/curves/ed25519.js'
