import type { Definition } from './definitions.ts'
import { recordOf } from './record-of.ts'
import type { DefinitionRecord } from './records.ts'

/** These never change. */
const contentKinds: readonly string[] = ['vhost', 'exchange', 'queue', 'binding', 'node']

/** Made anew only when something of them is new: reclaim's moving a policy is no reason to match it. */
const comparedKinds: readonly string[] = ['policy', 'operator-policy', 'webhook']

/** Whether a definition is made anew when its record is said again. */
export function isReplaced(known: Definition, record: DefinitionRecord): boolean {
  if (known.kind === 'term' || known.kind === 'user' || contentKinds.includes(known.kind)) return false
  if (!comparedKinds.includes(known.kind)) return true
  return JSON.stringify(recordOf(known)) !== JSON.stringify(record)
}
