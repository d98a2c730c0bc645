/** What the API keeps of the past: counts at points in time, and what happened between them. */

/** As in `…_details`. */
export interface Details {
  /** Per second. */
  readonly rate: number
  /** Newest first; only where it was asked for and is kept. */
  readonly samples?: readonly { readonly sample: number; readonly timestamp: number }[]
}

export interface Course {
  /** In milliseconds since 1970, rising. */
  readonly times: readonly number[]
  readonly values: readonly number[]
}

/** How much there was. */
export function levelsOf(details: Details | undefined): Course {
  const samples = [...(details?.samples ?? [])].reverse()
  return { times: samples.map(({ timestamp }) => timestamp), values: samples.map(({ sample }) => sample) }
}

/** How much came per second between two samples; a count that fell has begun anew. */
export function ratesOf(details: Details | undefined): Course {
  const { times, values } = levelsOf(details)
  const rates = values.map((value, index) => {
    const before = values[index - 1]
    const ms = (times[index] ?? 0) - (times[index - 1] ?? 0)
    return before === undefined || ms <= 0 ? 0 : (Math.max(0, value - before) * 1000) / ms
  })
  return { times: times.slice(1), values: rates.slice(1) }
}

/** Counts of one kind of thing, as the API gives them: `publish` and `publish_details`. */
export type Stats = Readonly<Record<string, number | Details | undefined>>

export function count(stats: Stats | undefined, name: string): number {
  const found = stats?.[name]
  return typeof found === 'number' ? found : 0
}

export function details(stats: Stats | undefined, name: string): Details | undefined {
  const found = stats?.[`${name}_details`]
  return typeof found === 'object' ? found : undefined
}

export function rateOf(stats: Stats | undefined, name: string): number {
  return details(stats, name)?.rate ?? 0
}

/** How far back, and in what steps; both in seconds. */
export interface Range {
  readonly age: number
  readonly incr: number
}

/** The parameters that ask for counts and lengths over a time. */
export function rangeQuery({ age, incr }: Range): Readonly<Record<string, number>> {
  return { lengths_age: age, lengths_incr: incr, msg_rates_age: age, msg_rates_incr: incr }
}
