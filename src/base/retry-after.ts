/** What `retry-after` asks for (RFC 9110 §10.2.3). */

/** However long somebody asks for, in milliseconds. */
const restMsMax = 3_600_000
/** And at least so long: 0 would be no rest. */
const restMsMin = 1_000

/** From now, in milliseconds: 1 s to 1 h. Null: it says nothing that can be read. `now` is wall time. */
export function restMs(retryAfter: string | null, now: number): number | null {
  const text = retryAfter?.trim() ?? ''
  const ms = /^\d{1,10}$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - now
  if (Number.isNaN(ms) || text === '') return null
  return Math.min(restMsMax, Math.max(restMsMin, ms))
}
