/** One stanza by itself, as a key service receives it. */

import { parseStanza } from '@longhold/core'

import { contexts, latin1, suiteSets } from './lab.ts'
import type { KnownStanza, Lab } from './lab.ts'
import { flipped, mutateBytes } from './mutate.ts'
import { asyncOutcomeOf, opened, refused } from './trial.ts'
import type { End, Target } from './trial.ts'

export const stanza: Target = {
  name: 'stanza',
  weight: 8,
  make(random, lab) {
    const person = random.pick([0, 0, 0, 0, 2, 2, 2, 1])
    const known = random.pick(lab.stanzas.filter((one) => one.person === person))
    let { bytes } = known
    const roll = random.below(5)
    if (roll === 0) bytes = mutateBytes(bytes, random)
    else if (roll === 1) bytes = flipped(bytes, random)
    else if (roll === 2)
      bytes = Buffer.concat([random.pick(lab.stanzas).bytes.subarray(0, 22), bytes.subarray(22)])
    const args = {
      person: random.chance(0.85) ? known.person : random.below(4),
      dataKey: random.chance(0.9) ? known.boundTo : random.below(2),
      context: random.chance(0.9) ? known.context : random.below(contexts.length),
    }
    return { input: { bytes, args }, expected: modelOfStanza(bytes, args, lab) }
  },
  run: ({ bytes, args }, world) =>
    asyncOutcomeOf(async () => {
      const identity = world.people[args['person'] ?? 0]
      const dataKey = world.dataKeys[args['dataKey'] ?? 0]
      if (identity === undefined || dataKey === undefined) throw new Error('no such key')
      const parsed = parseStanza(bytes, { suites: suiteSets[0] ?? [] })
      const bound = { keyId: dataKey.keyId, keyContext: contexts[args['context'] ?? 0] ?? [] }
      const secret = await identity.unwrap(parsed, bound)
      return secret.use((key) => new Uint8Array(key))
    }),
}

const lengths = new Map([
  ['647a00010002', 1190],
  ['005100020002', 1735],
])

function modelOfStanza(
  bytes: Uint8Array,
  { person, dataKey, context }: { person: number; dataKey: number; context: number },
  lab: Lab,
): End {
  if (bytes.length < 22) return refused('3 stanza length', 'malformed')
  const length = lengths.get(Buffer.from(bytes.subarray(0, 6)).toString('hex'))
  if (length !== undefined && bytes.length !== length) return refused('3 stanza length', 'malformed')
  const known: KnownStanza | undefined = lab.byBytes.get(latin1(bytes))
  const opens = known?.person === person && known.boundTo === dataKey && known.context === context
  return opens
    ? opened(lab.dataKeys[known.holds] ?? new Uint8Array())
    : refused('7 stanza', 'cannot_open', true)
}
