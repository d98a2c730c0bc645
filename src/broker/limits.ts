import { BrokerError } from './errors.ts'
import { erlangTerm } from './topology/policy-keys.ts'

/**
 * Limits as an administrator gives them, by RabbitMQ's names: a whole number, negative for none. Throws
 * `precondition-failed` for a name that is not among `known`, and for what is no whole number.
 */
export function checkedLimits<Name extends string>(
  known: readonly Name[],
  given: Readonly<Record<string, unknown>>,
): Record<Name, number | null> {
  const limits = Object.fromEntries(known.map((name) => [name, null])) as Record<Name, number | null>
  for (const [name, value] of Object.entries(given)) {
    const found = known.find((one) => one === name)
    if (found === undefined) throw invalid(`Unrecognised terms [{${erlangTerm(name)},${erlangTerm(value)}}] in limits`)
    if (!Number.isSafeInteger(value)) throw invalid(`${name} should be a number, actually was ${erlangTerm(value)}`)
    limits[found] = Number(value) < 0 ? null : Number(value)
  }
  return limits
}

export const vhostLimitNames = ['max-connections', 'max-queues'] as const
export const userLimitNames = ['max-connections', 'max-channels'] as const

function invalid(text: string): BrokerError {
  return new BrokerError('precondition-failed', `Validation failed\n\n${text}\n`)
}
