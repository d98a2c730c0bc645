import { isObject, type JsonObject } from '../../../broker/definitions/entry.ts'

interface Sample {
  readonly sample: number
  readonly timestamp: number
}

/** Numbers of several nodes added up, name by name, also inside of objects; samples by their times. What is no number is the first one's. */
export function addedUp(one: JsonObject, other: JsonObject): JsonObject {
  const sum: Record<string, unknown> = { ...one }
  for (const [name, value] of Object.entries(other)) sum[name] = name in sum ? added(sum[name], value) : value
  return sum
}

function added(one: unknown, other: unknown): unknown {
  if (typeof one === 'number' && typeof other === 'number') return one + other
  if (areSamples(one) && areSamples(other)) return samplesOf(one, other)
  return isObject(one) && isObject(other) ? addedUp(one, other) : one
}

function areSamples(value: unknown): value is Sample[] {
  return Array.isArray(value)
}

/** Newest first, as they were. A node that does not reach back so far adds nothing there. */
function samplesOf(one: readonly Sample[], other: readonly Sample[]): Sample[] {
  const sums = new Map<number, number>()
  for (const { timestamp, sample } of [...one, ...other]) sums.set(timestamp, (sums.get(timestamp) ?? 0) + sample)
  const all = [...sums].map(([timestamp, sample]) => ({ sample, timestamp }))
  return all.sort((a, b) => b.timestamp - a.timestamp)
}
