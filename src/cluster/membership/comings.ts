/**
 * When nodes have come lately. It stands with the count of incarnations in the coordination store, so that a node knows of
 * itself over restarts how often it has come, and says so to all alike (`SessionEntry.isSteady`): were it judged by what each
 * remembers, a node that is new would place shards in another way than the others, and nobody would take them.
 */
import { isCount } from './entry-fields.ts'

export interface Coming {
  readonly name: string
  /** Wall time of that node, in milliseconds. */
  readonly at: number
}

/** How far back a node's comings count against it, in milliseconds. */
export const comingsMemoryMs = 60_000
/** Of all nodes together; the oldest are forgotten first, and with them what they would count for. */
export const comingsMax = 32
/** Each earlier coming doubles what is asked, so many times at most: 2 s become 32 s. */
const steadyMs = 2_000
const doublingsMax = 4

/** What stands in the store; an entry of an earlier version has none, and what makes no sense counts for nothing. */
export function readComings(field: unknown): Coming[] {
  if (!Array.isArray(field)) return []
  return field.flatMap((one: unknown) => {
    const [name, at] = Array.isArray(one) ? one : []
    return typeof name === 'string' && isCount(at) ? [{ name, at }] : []
  })
}

export function writeComings(comings: readonly Coming[]): unknown {
  return comings.map(({ name, at }) => [name, at])
}

/** With one more, and without those that do not count any more. */
export function withComing(comings: readonly Coming[], coming: Coming): Coming[] {
  const recent = comings.filter(({ at }) => at > coming.at - comingsMemoryMs)
  return [...recent, coming].slice(-comingsMax)
}

/** How long a node that comes now must stay before it is steady, in milliseconds: 0 when it has not come lately. */
export function unsteadyMs(comings: readonly Coming[], { name, at }: Coming): number {
  const earlier = comings.filter((one) => one.name === name && one.at > at - comingsMemoryMs && one.at <= at).length
  return earlier === 0 ? 0 : steadyMs * 2 ** Math.min(earlier, doublingsMax)
}
