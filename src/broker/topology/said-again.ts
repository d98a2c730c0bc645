import type { Definition } from './definitions.ts'
import { recordOf } from './record-of.ts'
import type { DefinitionRecord } from './records.ts'

/** These never change. */
const contentKinds: readonly string[] = ['vhost', 'exchange', 'queue', 'binding', 'node']

/** Whether a definition is made anew when its record is said again. Reclaim's moving a policy is no reason to match it. */
export function isReplaced(known: Definition, record: DefinitionRecord): boolean {
  if (known.kind === 'term' || known.kind === 'user' || contentKinds.includes(known.kind)) return false
  if (known.kind !== 'policy' && known.kind !== 'operator-policy') return true
  return JSON.stringify(recordOf(known)) !== JSON.stringify(record)
}
