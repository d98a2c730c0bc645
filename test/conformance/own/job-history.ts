/**
 * What publishers and workers saw of jobs, and what of it must not have happened. It knows nothing of the broker but when
 * it was stopped and up again; not a word of the broker's own (counts, headers) is believed.
 *
 * What happens shortly before a stop may have been stored or not: it is *uncertain*, and only what would be wrong either
 * way is a violation.
 */
export interface Job {
  readonly id: string
  readonly group: string | null
  /** Its place among those of its group. */
  readonly number: number
  /** Wall time before which no worker may see it, in milliseconds. */
  readonly notBefore: number
}

/** `hung`: the worker says nothing until the lease is over. `lost`: the worker drops its connection. */
export type Ending = 'acked' | 'failed' | 'hung' | 'lost'

export interface Seen {
  readonly job: Job
  readonly at: number
  /** Its place among all events. */
  readonly order: number
  /** Null: the broker ended first. */
  ending: Ending | null
  endedAt: number
  endedOrder: number
}

export interface Rules {
  readonly attempts: number
  readonly retryMsMin: number
  readonly leaseMs: number
}

interface Stop {
  readonly at: number
  readonly order: number
  upAt: number
}

/** What was sent so long before a stop has surely been stored. */
const storedWithinMs = 1_000
/** A worker that took longer than this share of its lease may have lost it. */
const leaseShare = 0.5

export class JobHistory {
  readonly #rules: Rules
  readonly #jobs = new Map<string, Seen[]>()
  readonly #byGroup = new Map<string, Seen[]>()
  readonly #confirmed = new Set<string>()
  readonly #parked: string[] = []
  readonly #stops: Stop[] = []
  #order = 0

  constructor(rules: Rules) {
    this.#rules = rules
  }

  // ---------------------------------------------------------------- what happened

  confirmed(job: Job): void {
    this.#confirmed.add(job.id)
  }

  delivered(job: Job, at: number): Seen {
    const seen: Seen = { job, at, order: this.#order++, ending: null, endedAt: 0, endedOrder: Number.POSITIVE_INFINITY }
    listOf(this.#jobs, job.id).push(seen)
    if (job.group !== null) listOf(this.#byGroup, job.group).push(seen)
    return seen
  }

  ended(seen: Seen, ending: Ending, at: number): void {
    seen.ending = ending
    seen.endedAt = at
    seen.endedOrder = this.#order++
  }

  parked(id: string): void {
    this.#parked.push(id)
  }

  stopped(at: number): void {
    this.#stops.push({ at, order: this.#order++, upAt: Number.POSITIVE_INFINITY })
  }

  up(at: number): void {
    const stop = this.#stops.at(-1)
    if (stop !== undefined) stop.upAt = at
  }

  /** How often workers have failed this job on purpose. */
  failuresOf(id: string): number {
    return (this.#jobs.get(id) ?? []).filter((seen) => seen.ending !== null && seen.ending !== 'acked').length
  }

  /** Confirmed jobs that no worker has acked or failed so often that they must be parked. */
  get open(): number {
    return [...this.#confirmed].filter((id) => !this.#isFinished(id, Number.POSITIVE_INFINITY)).length
  }

  get summary(): string {
    const all = [...this.#jobs.values()].flat()
    const count = (ending: Ending): number => all.filter((seen) => seen.ending === ending).length
    const ends = (['acked', 'failed', 'hung', 'lost'] as const).map((ending) => `${count(ending)} ${ending}`)
    return `${this.#confirmed.size} jobs, ${all.length} deliveries (${ends.join(', ')}), ${this.#parked.length} parked, ${this.#stops.length} stops`
  }

  // ---------------------------------------------------------------- what must not be

  violations(): string[] {
    return [
      ...[...this.#confirmed].flatMap((id) => this.#ofConfirmed(id)),
      ...[...this.#jobs].flatMap(([id, all]) => this.#ofJob(id, all)),
      ...this.#ofParked(),
      ...[...this.#byGroup].flatMap(([group, all]) => this.#ofGroup(group, all)),
    ]
  }

  #ofConfirmed(id: string): string[] {
    const isDone = (this.#jobs.get(id) ?? []).some((seen) => seen.ending === 'acked')
    return isDone || this.#parked.includes(id) ? [] : [`${id} was confirmed, and is neither done nor parked`]
  }

  #ofJob(id: string, all: readonly Seen[]): string[] {
    const found: string[] = []
    const certain = all.filter((seen) => this.#isCertainFailure(seen)).length
    const most = this.#rules.attempts + 1
    if (certain > most) found.push(`${id} failed ${certain} times, and was to be parked after ${most}`)
    for (const [index, seen] of all.entries()) {
      if (seen.at < seen.job.notBefore) found.push(`${id} came ${seen.job.notBefore - seen.at} ms before its time`)
      const next = all[index + 1]
      if (seen.ending === 'acked' && this.#isCertain(seen) && next !== undefined)
        found.push(`${id} came again after it was done`)
      if (next !== undefined && seen.ending === 'failed' && this.#isCertain(seen)) {
        const waited = next.at - seen.endedAt
        if (waited < this.#rules.retryMsMin) found.push(`${id} was tried again after ${waited} ms`)
      }
    }
    return found
  }

  #ofParked(): string[] {
    const found: string[] = []
    for (const [index, id] of this.#parked.entries()) {
      const all = this.#jobs.get(id) ?? []
      const possible = all.filter((seen) => this.#isPossibleFailure(seen)).length
      if (this.#parked.indexOf(id) !== index) found.push(`${id} was parked twice`)
      if (possible <= this.#rules.attempts) found.push(`${id} was parked, and failed ${possible} times at most`)
      if (all.some((seen) => seen.ending === 'acked' && this.#isCertain(seen))) found.push(`${id} was done, and parked`)
    }
    return found
  }

  /** In order of publishing, one after the other. */
  #ofGroup(group: string, all: readonly Seen[]): string[] {
    const found: string[] = []
    const numbers = new Map<number, string>()
    for (const { job } of all) numbers.set(job.number, job.id)
    for (const seen of all) {
      for (let number = 0; number < seen.job.number; number += 1) {
        const before = numbers.get(number)
        if (before === undefined) found.push(`group ${group}: number ${number} never came`)
        else if (!this.#isFinished(before, seen.order)) found.push(`${seen.job.id} came before ${before} was finished`)
      }
    }
    for (const [index, seen] of all.entries()) {
      const next = all[index + 1]
      if (next === undefined || seen.ending === 'hung' || this.#isLate(seen)) continue
      if (next.order < Math.min(seen.endedOrder, this.#stopAfter(seen))) {
        found.push(`${next.job.id} came while ${seen.job.id} of group ${group} was in flight`)
      }
    }
    return found
  }

  /** Whether a worker had it done, or it failed so often that it may have been parked, before this event. */
  #isFinished(id: string, order: number): boolean {
    const all = (this.#jobs.get(id) ?? []).filter((seen) => seen.endedOrder < order)
    if (all.some((seen) => seen.ending === 'acked')) return true
    return all.filter((seen) => this.#isPossibleFailure(seen)).length > this.#rules.attempts
  }

  #stopAfter(seen: Seen): number {
    return this.#stops.find((stop) => stop.order > seen.order)?.order ?? Number.POSITIVE_INFINITY
  }

  #isLate({ at, endedAt }: Seen): boolean {
    return endedAt - at > this.#rules.leaseMs * leaseShare
  }

  #isPossibleFailure(seen: Seen): boolean {
    if (seen.ending === null) return false
    return seen.ending !== 'acked' || this.#isLate(seen)
  }

  #isCertainFailure(seen: Seen): boolean {
    return seen.ending !== null && seen.ending !== 'acked' && this.#isCertain(seen)
  }

  /** The broker has heard how it ended, and has it stored. */
  #isCertain(seen: Seen): boolean {
    if (seen.ending === null) return false
    if (seen.ending !== 'hung' && this.#isLate(seen)) return false
    const to = seen.ending === 'hung' ? seen.at + 2 * this.#rules.leaseMs : seen.endedAt
    return !this.#stops.some((stop) => stop.at <= to + storedWithinMs && stop.upAt >= seen.at)
  }
}

function listOf(map: Map<string, Seen[]>, key: string): Seen[] {
  const list = map.get(key) ?? []
  map.set(key, list)
  return list
}
