/** Arguments and keys of policies that are used most, and how their values are read. */
import { bytes, duration, value } from '../core/format.ts'

/** With values to begin with; the broker knows more of them. */
const limits = {
  'message-ttl': 3_600_000,
  expires: 86_400_000,
  'max-length': 100_000,
  'max-length-bytes': 1_000_000_000,
  'delivery-limit': 20,
  'consumer-timeout': 1_800_000,
}
const others = {
  overflow: 'reject-publish',
  'dead-letter-exchange': '',
  'dead-letter-routing-key': '',
  'retry-attempts': 5,
  'retry-delay': 1_000,
}
const streams = { 'max-age': '7D', 'max-length-bytes': 1_000_000_000, 'stream-max-segment-size-bytes': 100_000_000 }

export const policyKeys = { ...limits, ...others, 'max-age': '7D', 'alternate-exchange': '' }
export const operatorKeys = limits
export const queueKeys = {
  ...named({ ...limits, ...others }),
  'x-max-priority': 10,
  'x-single-active-consumer': true,
}
export const streamKeys = named(streams)

/** As arguments they begin with `x-`. */
function named(keys: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(keys).map(([key, first]) => [`x-${key}`, first]))
}

/** What a number of that name counts; nothing where it is a number of things. */
export function unitOf(key: string): 'ms' | 'B' | '' {
  return /ttl|expires|timeout|-delay$/.test(key) ? 'ms' : key.endsWith('bytes') ? 'B' : ''
}

/** 86400000 (1 d) */
export function settingOf(key: string, json: unknown): string {
  const unit = typeof json === 'number' ? unitOf(key) : ''
  if (unit === '') return value(json)
  return `${value(json)} (${unit === 'ms' ? duration(Number(json)) : bytes(Number(json))})`
}
