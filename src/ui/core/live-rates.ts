/** Rates of the moment, from exact counts and the time between two looks at them: no sampling of the server's between. */
import { useRef } from 'preact/hooks'
import { count, rateOf, type Stats } from './samples.ts'

export interface LiveRates {
  readonly rates: Readonly<Record<string, number>>
  /** Of each name, oldest first. */
  readonly courses: Readonly<Record<string, readonly number[]>>
}

const lookMax = 60

/** `at` tells looks apart; levels are kept as they are, counts become rates. */
export function useLiveRates(
  at: number,
  stats: Stats | undefined,
  counts: readonly string[],
  levels: Readonly<Record<string, number>>,
): LiveRates {
  const kept = useRef<{ at: number; stats: Stats | undefined; live: LiveRates }>({
    at: 0,
    stats: undefined,
    live: { rates: {}, courses: {} },
  })
  const last = kept.current
  if (at === last.at) return last.live
  const seconds = (at - last.at) / 1000
  const rates: Record<string, number> = { ...levels }
  for (const name of counts) {
    const grown = Math.max(0, count(stats, name) - count(last.stats, name))
    // At the first look it is the broker that knows.
    rates[name] = last.at > 0 ? grown / seconds : rateOf(stats, name)
  }
  const courses: Record<string, readonly number[]> = {}
  for (const [name, value] of Object.entries(rates)) {
    const before = last.live.courses[name] ?? []
    courses[name] = [...before, value].slice(-lookMax)
  }
  kept.current = { at, stats, live: { rates, courses } }
  return kept.current.live
}
