/** The spans of a client, seen by a tracer provider of the test behind OpenTelemetry's own API. */
import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { afterEach, beforeEach, describe, it } from 'node:test'
import * as api from '@opentelemetry/api'
import type { Hooks } from '../../../src/client/hooks.ts'
import { tracingHooks, withTracing } from '../../../src/client/telemetry.ts'
import { fakeClient, turns } from './fake-client.ts'

interface Seen {
  readonly name: string
  readonly kind: api.SpanKind | undefined
  readonly parentId: string | undefined
  readonly traceId: string
  readonly spanId: string
  readonly attributes: api.Attributes
  status: api.SpanStatus | null
  exception: string | null
  isEnded: boolean
}

/** Contexts that follow promises, as those of an SDK do. */
class Contexts implements api.ContextManager {
  readonly #storage = new AsyncLocalStorage<api.Context>()

  active(): api.Context {
    return this.#storage.getStore() ?? api.ROOT_CONTEXT
  }

  with<A extends unknown[], F extends (...args: A) => ReturnType<F>>(
    context: api.Context,
    fn: F,
    thisArg?: ThisParameterType<F>,
    ...args: A
  ): ReturnType<F> {
    return this.#storage.run(context, () => fn.apply(thisArg, args))
  }

  bind<T>(_context: api.Context, target: T): T {
    return target
  }

  enable(): this {
    return this
  }

  disable(): this {
    return this
  }
}

/** W3C Trace Context, as far as it is needed here. */
const propagator: api.TextMapPropagator = {
  fields: () => ['traceparent', 'tracestate'],
  inject(context, carrier, setter) {
    const span = api.trace.getSpanContext(context)
    if (span === undefined) return
    setter.set(carrier, 'traceparent', `00-${span.traceId}-${span.spanId}-01`)
    const state = span.traceState?.serialize()
    if (state !== undefined) setter.set(carrier, 'tracestate', state)
  },
  extract(context, carrier, getter) {
    const [, traceId, spanId] = String(getter.get(carrier, 'traceparent')).split('-')
    if (traceId === undefined || spanId === undefined) return context
    const state = getter.get(carrier, 'tracestate')
    const traceState = typeof state === 'string' ? { traceState: api.createTraceState(state) } : {}
    return api.trace.setSpanContext(context, { traceId, spanId, traceFlags: 1, isRemote: true, ...traceState })
  },
}

let spans: Seen[] = []

function startSpan(name: string, options: api.SpanOptions = {}, context = api.context.active()): api.Span {
  const parent = api.trace.getSpanContext(context)
  const number = spans.length + 1
  const seen: Seen = {
    name,
    kind: options.kind,
    parentId: parent?.spanId,
    traceId: parent?.traceId ?? number.toString(16).padStart(32, '0'),
    spanId: number.toString(16).padStart(16, '0'),
    attributes: { ...options.attributes },
    status: null,
    exception: null,
    isEnded: false,
  }
  spans.push(seen)
  const traceState = parent?.traceState === undefined ? {} : { traceState: parent.traceState }
  const span: Partial<api.Span> = {
    spanContext: () => ({ traceId: seen.traceId, spanId: seen.spanId, traceFlags: 1, ...traceState }),
    setAttribute(key, value) {
      seen.attributes[key] = value
      return this as api.Span
    },
    setStatus(status) {
      seen.status = status
      return this as api.Span
    },
    recordException: (error) => {
      seen.exception = error instanceof Error ? error.message : String(error)
    },
    end: () => {
      seen.isEnded = true
    },
  }
  return span as api.Span
}

const tracer = { startSpan } as api.Tracer

/** A client that traces. */
function traced(hooks: Hooks = {}): ReturnType<typeof fakeClient> {
  return fakeClient({ hooks: tracingHooks(api, hooks) })
}

describe('tracing', () => {
  beforeEach(() => {
    spans = []
    api.trace.setGlobalTracerProvider({ getTracer: () => tracer })
    api.context.setGlobalContextManager(new Contexts())
    api.propagation.setGlobalPropagator(propagator)
  })

  afterEach(() => {
    api.trace.disable()
    api.context.disable()
    api.propagation.disable()
  })

  it('has a span from the send to its confirm, whose context is in the headers', async () => {
    const { client, driver } = await traced()
    const sent = client.exchange('events', { declare: false }).send('order.new', 1, {
      headers: { own: 'yes' },
      messageId: 'm1',
      correlationId: 'c1',
    })
    await turns()
    const [span] = spans
    assert.ok(span)
    assert.equal(span.isEnded, false)
    driver.publishChannel.events.confirmed(1, false, false)
    await sent
    assert.equal(span.isEnded, true)
    assert.deepEqual([span.name, span.kind, span.status], ['send events:order.new', api.SpanKind.PRODUCER, null])
    assert.deepEqual(span.attributes, {
      'messaging.system': 'rabbitmq',
      'messaging.operation.name': 'send',
      'messaging.operation.type': 'send',
      'messaging.destination.name': 'events:order.new',
      'messaging.rabbitmq.destination.routing_key': 'order.new',
      'messaging.message.body.size': 1,
      'messaging.message.id': 'm1',
      'messaging.message.conversation_id': 'c1',
    })
    assert.deepEqual(driver.publishChannel.published[0]?.properties.headers, {
      own: 'yes',
      traceparent: `00-${span.traceId}-${span.spanId}-01`,
    })
  })

  it('is a child of the span that is active where `send` is called', async () => {
    const { client } = await traced()
    const outer = tracer.startSpan('request')
    const context = api.trace.setSpan(api.context.active(), outer)
    const sent = api.context.with(context, () => client.queue('q').send('x'))
    sent.catch(() => undefined)
    await turns()
    assert.deepEqual([spans[1]?.name, spans[1]?.parentId], ['send q', outer.spanContext().spanId])
  })

  it('says on the span why a send was refused', async () => {
    const { client, driver } = await traced()
    const sent = client.queue('q', { declare: false }).send('x')
    await turns()
    driver.publishChannel.events.confirmed(1, false, true)
    await assert.rejects(sent)
    const [span] = spans
    assert.equal(span?.attributes['error.type'], 'NACKED')
    assert.deepEqual([span?.status?.code, span?.isEnded], [api.SpanStatusCode.ERROR, true])
  })

  it('runs the handler in a span whose parent is the sender, and sends from there as its child', async () => {
    const { client, driver } = await traced()
    const queue = client.queue<string>('orders', { declare: false })
    await queue.consume(
      () =>
        void client
          .queue('next', { declare: false })
          .send('x')
          .catch(() => undefined),
      {
        retry: false,
      },
    )
    const headers = { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`, tracestate: 'vendor=1' }
    driver.last('consuming').channels.at(-1)?.deliver({
      exchange: 'events',
      routingKey: 'order.new',
      properties: { headers },
    })
    await turns(10)
    const [handled, sent] = spans
    assert.deepEqual(
      [handled?.name, handled?.kind, handled?.traceId, handled?.parentId, handled?.isEnded],
      ['process orders', api.SpanKind.CONSUMER, 'a'.repeat(32), 'b'.repeat(16), true],
    )
    assert.equal(handled?.attributes['messaging.destination.name'], 'events:order.new:orders')
    assert.equal(handled?.attributes['messaging.operation.type'], 'process')
    assert.equal(handled?.attributes['messaging.rabbitmq.message.delivery_tag'], 1)
    assert.deepEqual([sent?.name, sent?.parentId], ['send next', handled?.spanId])
    assert.deepEqual(driver.publishChannel.published[0]?.properties.headers, {
      traceparent: `00-${'a'.repeat(32)}-${sent?.spanId}-01`,
      tracestate: 'vendor=1',
    })
  })

  it('notes what a handler throws, and the copy for its retry stays in the trace', async () => {
    const { client, driver } = await traced()
    const queue = client.queue('orders', { declare: false })
    await queue.consume(() => {
      throw new TypeError('no such customer')
    })
    const headers = { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` }
    driver.last('consuming').channels.at(-1)?.deliver({ properties: { headers } })
    await turns(20)
    const [handled, copy] = spans
    assert.deepEqual([handled?.exception, handled?.attributes['error.type']], ['no such customer', 'TypeError'])
    assert.equal(handled?.status?.code, api.SpanStatusCode.ERROR)
    assert.deepEqual([copy?.name, copy?.traceId], ['send orders.retry.1000', 'a'.repeat(32)])
  })

  it('keeps the hooks of the user', async () => {
    const heard: string[] = []
    const { client, driver } = await traced({
      publishing: (message) => ({ ...message, properties: { ...message.properties, headers: { by: 'user' } } }),
      published: ({ routingKey }) => heard.push(`published ${routingKey}`),
      handling: async (_delivery, queue, run) => {
        heard.push(`handling ${queue}`)
        await run()
      },
    })
    const queue = client.queue('q', { declare: false })
    const sent = queue.send('x')
    await turns()
    driver.publishChannel.events.confirmed(1, false, false)
    await sent
    await queue.consume(() => heard.push('handler'))
    driver.last('consuming').channels.at(-1)?.deliver()
    await turns(10)
    assert.deepEqual(heard, ['published q', 'handling q', 'handler'])
    assert.equal(driver.publishChannel.published[0]?.properties.headers?.['by'], 'user')
  })
})

describe('tracing by itself', () => {
  afterEach(() => {
    api.trace.disable()
    api.propagation.disable()
  })

  it('changes nothing while no SDK is set up', async () => {
    const hooks: Hooks = {}
    assert.equal(await withTracing(hooks), hooks)
    assert.equal(await withTracing(undefined), undefined)
  })

  it('is there with a tracer provider, or with a propagator alone', async () => {
    api.trace.setGlobalTracerProvider({ getTracer: () => tracer })
    assert.notEqual((await withTracing(undefined))?.publishing, undefined)
    api.trace.disable()
    api.propagation.setGlobalPropagator(propagator)
    assert.notEqual((await withTracing(undefined))?.handling, undefined)
  })
})
