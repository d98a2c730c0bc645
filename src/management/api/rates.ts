import type { JsonObject } from '../../broker/definitions/entry.ts'
import type { Counted } from '../../broker/statistics/recent.ts'
import { type Column, lengthColumns, type messageColumns, valueIn } from '../statistics/columns.ts'
import { badRequest } from './answer.ts'
import type { ApiRequest } from './request.ts'
import type { Api } from './route.ts'

/** What of the past is asked for: `lengths_age=600&lengths_incr=60` and the like. */
export interface Span {
  /** How far back, and in what steps, in milliseconds. */
  readonly ageMs: number
  readonly stepMs: number
  /** Wall time of the newest sample. */
  readonly until: number
}

export interface Spans {
  readonly lengths: Span | null
  readonly rates: Span | null
  readonly data: Span | null
  readonly node: Span | null
}

export const noSpans: Spans = { lengths: null, rates: null, data: null, node: null }

/** Of one list of samples. */
const samplesMax = 1_000

/** In seconds, as RabbitMQ takes them. Throws 400. */
export function spansOf({ sampler }: Pick<Api, 'sampler'>, { query }: ApiRequest): Spans {
  const span = (name: string): Span | null => {
    const [age, step] = [query.get(`${name}_age`), query.get(`${name}_incr`)]
    if (age === null || step === null) return null
    if (!/^\d{1,9}$/.test(age) || !/^\d{1,9}$/.test(step) || Number(step) === 0) {
      throw badRequest(`${name}_age and ${name}_incr have to be whole numbers of seconds`)
    }
    const [ageMs, stepMs] = [Number(age) * 1_000, Number(step) * 1_000]
    if (ageMs / stepMs >= samplesMax) throw badRequest(`${name}_age is more than ${samplesMax} times ${name}_incr`)
    return { ageMs, stepMs, until: Math.floor(sampler.lastLook / stepMs) * stepMs }
  }
  return { lengths: span('lengths'), rates: span('msg_rates'), data: span('data_rates'), node: span('node_stats') }
}

/** `{"rate": …}`, and with a span its samples, newest first, and what they come to on average. */
export function details(places: readonly Counted[], column: Column, span: Span | null): JsonObject {
  let rate = 0
  for (const { recent } of places) rate += valueIn(recent?.rates, column)
  if (span === null) return { rate }
  const samples = samplesOf(places, column, span)
  const [newest, oldest] = [samples[0], samples.at(-1)]
  if (newest === undefined || oldest === undefined) return { rate, samples, avg_rate: 0, avg: 0 }
  const seconds = (newest.timestamp - oldest.timestamp) / 1_000
  return {
    rate,
    samples,
    avg_rate: seconds === 0 ? 0 : (newest.sample - oldest.sample) / seconds,
    avg: samples.reduce((sum, { sample }) => sum + sample, 0) / samples.length,
  }
}

interface Sample {
  readonly sample: number
  readonly timestamp: number
}

function samplesOf(places: readonly Counted[], column: Column, { ageMs, stepMs, until }: Span): Sample[] {
  const samples: Sample[] = []
  for (let timestamp = until; timestamp >= until - ageMs; timestamp -= stepMs) {
    let sample = 0
    let isKnown = false
    for (const { recent } of places) {
      const values = recent?.history?.at(timestamp) ?? null
      if (values !== null) isKnown = true
      sample += valueIn(values, column)
    }
    if (!isKnown) break
    samples.push({ sample, timestamp })
  }
  return samples
}

/** These numbers with their rates: `publish`, `publish_details`, … */
export function withDetails(
  places: readonly Counted[],
  columns: Readonly<Record<string, Column>>,
  { now, span }: { now: (name: string) => number; span: Span | null },
): JsonObject {
  const json: Record<string, unknown> = {}
  for (const [name, column] of Object.entries(columns)) {
    json[name] = now(name)
    json[`${name}_details`] = details(places, column, span)
  }
  return json
}

/** `messages_details` and the like; the numbers themselves are those of the moment. */
export function lengthDetails(places: readonly Counted[], span: Span | null): JsonObject {
  return Object.fromEntries(
    Object.entries(lengthColumns).map(([name, column]) => [`${name}_details`, details(places, column, span)]),
  )
}

export type MessageColumn = keyof typeof messageColumns
