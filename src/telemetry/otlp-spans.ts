/** Spans as OTLP has them in JSON (opentelemetry-proto 1.x, `ExportTraceServiceRequest`). */
import { createHash } from 'node:crypto'
import type { Source } from '../broker/message-traits.ts'
import type { Residence, ResidenceEnd } from '../broker/queue/residences.ts'
import type { StreamSpan, StreamSpanEnd } from '../broker/stream/stream-tracing.ts'

/** What a message was doing in a queue, from when it came until it left. */
export interface QueueSpan {
  readonly kind: 'queue'
  /** 16 hex digits. */
  readonly spanId: string
  readonly residence: Residence
  readonly end: ResidenceEnd
  /** Wall time in milliseconds. */
  readonly endedAt: number
}

/** A message that was stored in a stream, or delivered out of it. */
export interface StreamedSpan {
  readonly kind: 'stream'
  /** 16 hex digits. */
  readonly spanId: string
  readonly span: StreamSpan
  readonly end: StreamSpanEnd
  /** Wall time in milliseconds. */
  readonly endedAt: number
}

export type EndedSpan = QueueSpan | StreamedSpan

export interface SpanSource {
  readonly serviceName: string
  readonly serviceInstance: string
  readonly version: string
}

/**
 * The span of a message in a queue, or of its publish to a stream. Whoever knows queue and sequence, or stream and
 * offset, knows the span, at whatever node it was: so others can be linked to it.
 */
export function spanIdOf(traceId: string, { queueId, sequence }: Source): string {
  return createHash('sha256').update(`${traceId}/${queueId}/${sequence}`).digest('hex').slice(0, 16)
}

/** SPAN_KIND_INTERNAL, STATUS_CODE_ERROR of the protocol. */
const internalKind = 1
const errorStatus = 2

export function spansDocument(spans: readonly EndedSpan[], source: SpanSource): string {
  const resource = {
    attributes: attributesOf({
      'service.name': source.serviceName,
      'service.instance.id': source.serviceInstance,
      'service.version': source.version,
    }),
  }
  const scope = { name: 'warren', version: source.version }
  const shown = spans.map((one) => (one.kind === 'queue' ? queueSpanJson(one) : streamSpanJson(one)))
  return JSON.stringify({ resourceSpans: [{ resource, scopeSpans: [{ scope, spans: shown }] }] })
}

// ---------------------------------------------------------------- queues

function queueSpanJson({ spanId, residence, end, endedAt }: QueueSpan): object {
  const { traceId, parentId: parentSpanId, queue, enteredAt, deliveredAt, death, origin } = residence
  const isLost = end === 'dropped' || end === 'dead-lettered'
  const events = deliveredAt.map((at, index) => ({
    timeUnixNano: nanoseconds(at),
    name: index === 0 ? 'first delivery' : 'redelivery',
  }))
  return {
    traceId,
    spanId,
    parentSpanId,
    name: `queue ${queue}`,
    kind: internalKind,
    startTimeUnixNano: nanoseconds(enteredAt),
    endTimeUnixNano: nanoseconds(endedAt),
    attributes: attributesOf({
      ...messageAttributes('queue', queue, residence),
      ...residenceAttributes(residence, end, endedAt),
    }),
    ...(events.length === 0 ? {} : { events }),
    ...linksOf(traceId, origin),
    status: isLost ? { code: errorStatus, message: death ?? end } : {},
  }
}

function residenceAttributes(residence: Residence, end: ResidenceEnd, endedAt: number): Values {
  const { vhost, enteredAt, deliveredAt, deliveries, death } = residence
  return {
    'warren.vhost': vhost,
    'warren.outcome': end,
    ...(death === null ? {} : { 'warren.death.reason': death }),
    'warren.redelivery_count': Math.max(0, deliveries - 1),
    'warren.ready_ms': (deliveredAt[0] ?? endedAt) - enteredAt,
  }
}

// ---------------------------------------------------------------- streams

function streamSpanJson({ spanId, span, end, endedAt }: StreamedSpan): object {
  const { traceId, parentId: parentSpanId, operation, stream, vhost, entry, origin, consumerTag, startedAt } = span
  return {
    traceId,
    spanId,
    parentSpanId,
    name: `${operation} ${stream}`,
    kind: internalKind,
    startTimeUnixNano: nanoseconds(startedAt),
    endTimeUnixNano: nanoseconds(endedAt),
    attributes: attributesOf({
      ...messageAttributes(operation, stream, span),
      'warren.vhost': vhost,
      'warren.outcome': end,
      'warren.stream.offset': entry.sequence,
      ...(consumerTag === null ? {} : { 'warren.consumer_tag': consumerTag }),
    }),
    ...linksOf(traceId, operation === 'deliver' ? entry : origin),
    status: {},
  }
}

// ---------------------------------------------------------------- of both

/** OpenTelemetry's conventions for messaging. */
function messageAttributes(
  operation: string,
  destination: string,
  { routingKey, bodyBytes }: { readonly routingKey: string; readonly bodyBytes: number },
): Values {
  return {
    'messaging.system': 'rabbitmq',
    'messaging.operation.name': operation,
    'messaging.destination.name': destination,
    'messaging.message.body.size': bodyBytes,
    ...(routingKey === '' ? {} : { 'messaging.rabbitmq.destination.routing_key': routingKey }),
  }
}

function linksOf(traceId: string, to: Source | null): { readonly links?: readonly object[] } {
  return to === null ? {} : { links: [{ traceId, spanId: spanIdOf(traceId, to) }] }
}

type Values = Readonly<Record<string, string | number>>

/** 64-bit numbers are text in OTLP's JSON. */
function attributesOf(values: Values): object[] {
  return Object.entries(values).map(([key, value]) => ({
    key,
    value: typeof value === 'number' ? { intValue: String(Math.round(value)) } : { stringValue: value },
  }))
}

function nanoseconds(ms: number): string {
  return `${Math.floor(ms)}000000`
}
