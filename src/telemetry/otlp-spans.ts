/** Spans as OTLP has them in JSON (opentelemetry-proto 1.x, `ExportTraceServiceRequest`). */
import type { Residence, ResidenceEnd } from '../broker/queue/residences.ts'

/** What a message was doing in a queue, from when it came until it left. */
export interface QueueSpan {
  /** 16 hex digits. */
  readonly spanId: string
  readonly residence: Residence
  readonly end: ResidenceEnd
  /** Wall time in milliseconds. */
  readonly endedAt: number
}

export interface SpanSource {
  readonly serviceName: string
  readonly serviceInstance: string
  readonly version: string
}

/** SPAN_KIND_INTERNAL, STATUS_CODE_ERROR of the protocol. */
const internalKind = 1
const errorStatus = 2

export function spansDocument(spans: readonly QueueSpan[], source: SpanSource): string {
  const resource = {
    attributes: attributesOf({
      'service.name': source.serviceName,
      'service.instance.id': source.serviceInstance,
      'service.version': source.version,
    }),
  }
  const scope = { name: 'warren', version: source.version }
  return JSON.stringify({ resourceSpans: [{ resource, scopeSpans: [{ scope, spans: spans.map(spanJson) }] }] })
}

function spanJson({ spanId, residence, end, endedAt }: QueueSpan): object {
  const { traceId, parentId: parentSpanId, queue, enteredAt, deliveredAt, death } = residence
  const isLost = end === 'dropped' || end === 'dead-lettered'
  return {
    traceId,
    spanId,
    parentSpanId,
    name: `queue ${queue}`,
    kind: internalKind,
    startTimeUnixNano: nanoseconds(enteredAt),
    endTimeUnixNano: nanoseconds(endedAt),
    attributes: attributesOf({ ...messageAttributes(residence), ...warrenAttributes(residence, end, endedAt) }),
    ...(deliveredAt === 0 ? {} : { events: [{ timeUnixNano: nanoseconds(deliveredAt), name: 'first delivery' }] }),
    status: isLost ? { code: errorStatus, message: death ?? end } : {},
  }
}

/** OpenTelemetry's conventions for messaging. */
function messageAttributes({ queue, routingKey, bodyBytes }: Residence): Values {
  return {
    'messaging.system': 'rabbitmq',
    'messaging.operation.name': 'queue',
    'messaging.destination.name': queue,
    'messaging.message.body.size': bodyBytes,
    ...(routingKey === '' ? {} : { 'messaging.rabbitmq.destination.routing_key': routingKey }),
  }
}

function warrenAttributes(residence: Residence, end: ResidenceEnd, endedAt: number): Values {
  const { vhost, enteredAt, deliveredAt, deliveries, death } = residence
  return {
    'warren.vhost': vhost,
    'warren.outcome': end,
    ...(death === null ? {} : { 'warren.death.reason': death }),
    'warren.redelivery_count': Math.max(0, deliveries - 1),
    'warren.ready_ms': (deliveredAt === 0 ? endedAt : deliveredAt) - enteredAt,
  }
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
