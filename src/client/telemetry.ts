/**
 * Traces for OpenTelemetry: a span for each send, from `send` to its confirm, and one for each handler, with the context of
 * the first in the message's headers (`traceparent`, `tracestate`: W3C Trace Context). Names and attributes are those of
 * OpenTelemetry's messaging conventions for RabbitMQ.
 *
 * Loaded when there is `@opentelemetry/api`, and active when an SDK was set up before `connect`. Otherwise the client has
 * no hooks of this kind, so a message pays nothing.
 */
import type { Attributes, Context, Span, TextMapGetter, Tracer, TracerProvider } from '@opentelemetry/api'
import type { Delivery, OutgoingMessage } from './driver/driver.ts'
import type { Table } from './driver/properties.ts'
import { WarrenError } from './errors.ts'
import type { Hooks, PublishedEvent } from './hooks.ts'

/** OpenTelemetry's API, or what a test has instead. */
export type TelemetryApi = Pick<
  typeof import('@opentelemetry/api'),
  'trace' | 'context' | 'propagation' | 'ROOT_CONTEXT' | 'SpanKind' | 'SpanStatusCode'
>

let loading: Promise<TelemetryApi | null> | undefined

/** The user's hooks, with tracing where OpenTelemetry is set up. Never rejects. */
export async function withTracing(hooks: Hooks | undefined): Promise<Hooks | undefined> {
  loading ??= loadApi()
  const api = await loading
  return api !== null && hasSdk(api) ? tracingHooks(api, hooks ?? {}) : hooks
}

async function loadApi(): Promise<TelemetryApi | null> {
  try {
    return await import('@opentelemetry/api')
  } catch {
    // It is optional, and this program does not have it.
    return null
  }
}

/** Who passes contexts on or makes spans. The API's own provider has no tracer behind it until an SDK gives it one. */
function hasSdk({ propagation, trace }: TelemetryApi): boolean {
  if (propagation.fields().length > 0) return true
  const provider: TracerProvider & { getDelegateTracer?: (name: string) => Tracer | undefined } =
    trace.getTracerProvider()
  return provider.getDelegateTracer === undefined || provider.getDelegateTracer(tracerName) !== undefined
}

const tracerName = 'warrenmq'

/** Hooks that trace, around those of the user. */
export function tracingHooks(api: TelemetryApi, hooks: Hooks): Hooks {
  const sends = new SendSpans(api)
  return {
    ...hooks,
    publishing: (message) => sends.begin(hooks.publishing?.(message) ?? message),
    published: (event) => {
      sends.end(event)
      hooks.published?.(event)
    },
    handling: (delivery, queue, run) =>
      traceHandler(api, delivery, queue, () => hooks.handling?.(delivery, queue, run) ?? run()),
  }
}

/** Spans of messages that are not confirmed yet. */
class SendSpans {
  readonly #api: TelemetryApi
  readonly #spans = new WeakMap<OutgoingMessage, Span>()

  constructor(api: TelemetryApi) {
    this.#api = api
  }

  /** The message with the span's context in its headers. */
  begin(message: OutgoingMessage): OutgoingMessage {
    const { trace, context, propagation, SpanKind } = this.#api
    const active = context.active()
    const headers = message.properties.headers ?? noHeaders
    // A retry's copy is sent outside of any handler; it stays in the trace of the message it is a copy of.
    const parent = trace.getSpan(active) === undefined ? propagation.extract(active, headers, fromHeaders) : active
    const name = destinationOf(message.exchange, message.routingKey)
    const attributes = attributesOf(message, name, { operation: 'send', type: 'send' })
    const span = trace.getTracer(tracerName).startSpan(`send ${name}`, { kind: SpanKind.PRODUCER, attributes }, parent)
    const carrier: Record<string, string> = {}
    propagation.inject(trace.setSpan(parent, span), carrier)
    const traced = { ...message, properties: { ...message.properties, headers: { ...headers, ...carrier } } }
    this.#spans.set(traced, span)
    return traced
  }

  end({ message, error }: PublishedEvent): void {
    const span = this.#spans.get(message)
    if (span === undefined) return
    this.#spans.delete(message)
    if (error !== null) fail(this.#api, span, error)
    span.end()
  }
}

/** `run` within a span whose parent is the sender's. What it rejects with is noted and passed on. */
async function traceHandler(
  api: TelemetryApi,
  delivery: Delivery,
  queue: string,
  run: () => Promise<void>,
): Promise<void> {
  const { trace, context, propagation, SpanKind, ROOT_CONTEXT } = api
  const parent: Context = propagation.extract(ROOT_CONTEXT, delivery.properties.headers ?? noHeaders, fromHeaders)
  const attributes: Attributes = {
    ...attributesOf(delivery, destinationOf(delivery.exchange, delivery.routingKey, queue), {
      operation: 'process',
      type: 'process',
    }),
    'messaging.rabbitmq.message.delivery_tag': delivery.deliveryTag,
  }
  const span = trace
    .getTracer(tracerName)
    .startSpan(`process ${queue}`, { kind: SpanKind.CONSUMER, attributes }, parent)
  try {
    await context.with(trace.setSpan(parent, span), run)
  } catch (error) {
    fail(api, span, error)
    throw error
  } finally {
    span.end()
  }
}

function fail({ SpanStatusCode }: TelemetryApi, span: Span, error: unknown): void {
  const known = error instanceof Error ? error : new Error(String(error))
  span.setAttribute('error.type', known instanceof WarrenError ? known.code : known.name)
  span.recordException(known)
  span.setStatus({ code: SpanStatusCode.ERROR, message: known.message })
}

/** As the conventions join it: exchange, routing key and queue, without what is empty and what repeats. */
function destinationOf(exchange: string, routingKey: string, queue = ''): string {
  const parts = [exchange, routingKey, queue === routingKey ? '' : queue].filter((part) => part !== '')
  return parts.length === 0 ? 'amq.default' : parts.join(':')
}

function attributesOf(
  { routingKey, properties, body }: Pick<OutgoingMessage, 'routingKey' | 'properties' | 'body'>,
  destination: string,
  { operation, type }: { operation: string; type: string },
): Attributes {
  return {
    'messaging.system': 'rabbitmq',
    'messaging.operation.name': operation,
    'messaging.operation.type': type,
    'messaging.destination.name': destination,
    'messaging.message.body.size': body.length,
    ...(routingKey === '' ? {} : { 'messaging.rabbitmq.destination.routing_key': routingKey }),
    ...(properties.messageId === undefined ? {} : { 'messaging.message.id': properties.messageId }),
    ...(properties.correlationId === undefined
      ? {}
      : { 'messaging.message.conversation_id': properties.correlationId }),
  }
}

const noHeaders: Table = {}

const fromHeaders: TextMapGetter<Table> = {
  keys: (headers) => Object.keys(headers),
  get: (headers, key) => {
    const value = headers[key]
    return typeof value === 'string' ? value : undefined
  },
}
