/** Requests and replies, against a broker. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { RemoteError, type RequestContext, type StandardSchema } from '../../src/client/index.ts'
import { eventually } from '../support/eventually.ts'
import { broker, name, open, quick, warrenError } from './stage.ts'

const asking = await open()
const answering = await open()

interface Sum {
  readonly a: number
  readonly b: number
}

/** Numbers only. */
const numberSchema: StandardSchema<number, number> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) => (typeof value === 'number' ? { value } : { issues: [{ message: 'must be a number' }] }),
  },
}

const gone = { queue: { autoDelete: true } }

describe('a request', () => {
  it('is answered with what the handler returns, each with its own', async () => {
    const queue = name('sum')
    const responder = await answering.responder<Sum, number>(queue, ({ a, b }) => sleep(b % 7, a + b), {
      concurrency: 10,
      ...gone,
    })
    const requester = asking.requester<Sum, number>(queue)
    const wanted = Array.from({ length: 200 }, (_, index) => index)
    const answers = Promise.all(wanted.map((index) => requester.request({ a: index, b: index })))
    assert.deepEqual(
      await answers,
      wanted.map((index) => 2 * index),
    )
    assert.equal(requester.inFlight, 0)
    await responder.stop()
  })

  it('rejects with what the handler threw', async () => {
    const queue = name('failing')
    const responder = await answering.responder<string, string>(
      queue,
      () => {
        throw Object.assign(new RangeError('out of stock'), { code: 'E_STOCK' })
      },
      gone,
    )
    const error = await warrenError(asking.requester<string, string>(queue).request('x'))
    assert.ok(error instanceof RemoteError)
    assert.equal(error.code, 'REMOTE_FAILED')
    assert.deepEqual(
      [error.remoteName, error.remoteMessage, error.remoteCode],
      ['RangeError', 'out of stock', 'E_STOCK'],
    )
    await responder.stop()
  })

  it('rejects at once when nobody has declared its queue', async () => {
    const error = await warrenError(asking.requester(name('nobody')).request(1))
    assert.deepEqual([error.code, error.replyCode], ['RETURNED', 312])
  })

  it('rejects when its time is over, tells the handler, and drops what comes late', async () => {
    const queue = name('late')
    let context: RequestContext | null = null
    const responder = await answering.responder<number, number>(
      queue,
      async (value, given) => {
        context = given
        await sleep(value)
        return value
      },
      gone,
    )
    const requester = asking.requester<number, number>(queue)
    const error = await warrenError(requester.request(2_000, { timeoutMs: 1_000 }))
    assert.equal(error.code, 'REQUEST_TIMEOUT')
    await eventually('the handler was told', () => context?.signal.aborted === true)
    assert.equal(await requester.request(1), 1)
    await responder.stop()
  })

  it('rejects when it is aborted, and aborts the signal of its handler', async () => {
    const queue = name('aborted')
    const contexts: RequestContext[] = []
    const responder = await answering.responder<number, string>(
      queue,
      (_value, context) => {
        contexts.push(context)
        return new Promise((resolve) => context.signal.addEventListener('abort', () => resolve('stopped')))
      },
      { concurrency: 2, ...gone },
    )
    const requester = asking.requester<number, string>(queue)
    const abort = new AbortController()
    const early = new AbortController()
    const first = warrenError(requester.request(1, { signal: abort.signal }))
    const second = warrenError(requester.request(2, { signal: early.signal }))
    await eventually('it is handled', () => contexts.length > 0)
    // Perhaps before the handler has said who it is.
    early.abort(new Error('too early'))
    await sleep(60)
    abort.abort(new Error('not wanted'))
    const error = await first
    assert.equal(error.code, 'ABORTED')
    assert.equal((error.cause as Error).message, 'not wanted')
    assert.equal((await second).code, 'ABORTED')
    await eventually('both handlers know', () => contexts.length === 2 && contexts.every((each) => each.signal.aborted))
    assert.equal((await warrenError(requester.request(3, { signal: AbortSignal.abort() }))).code, 'ABORTED')
    await responder.stop()
    assert.equal(contexts.length, 2)
  })

  it('is bounded in number and in size, and checked on both sides', async () => {
    const queue = name('checked')
    const responder = await answering.responder<number, string>(queue, (value) => 'x'.repeat(value), {
      schema: { request: numberSchema },
      ...gone,
    })
    const few = asking.requester<number, string>(queue, { inFlightMax: 2 })
    const answers = [few.request(1), few.request(2)]
    assert.equal((await warrenError(few.request(3))).code, 'TOO_MANY_WAITING')
    assert.deepEqual(await Promise.all(answers), ['x', 'xx'])
    const wrong = await warrenError(asking.requester<unknown, string>(queue).request('not a number'))
    assert.ok(wrong instanceof RemoteError && wrong.remoteCode === 'SCHEMA_FAILED', wrong.message)
    const checked = asking.requester(queue, { schema: { request: numberSchema, reply: numberSchema } })
    assert.equal((await warrenError(checked.request('x' as unknown as number))).code, 'SCHEMA_FAILED')
    assert.equal((await warrenError(checked.request(4))).code, 'SCHEMA_FAILED')
    const large = await warrenError(few.request(17 * 1024 * 1024))
    assert.ok(large instanceof RemoteError && large.remoteCode === 'MESSAGE_TOO_LARGE', large.message)
    assert.equal((await few.request(1024 * 1024)).length, 1024 * 1024)
    await responder.stop()
  })

  it('has answers that are nothing, and handlers that are asked by any client', async () => {
    const queue = name('plain')
    const responder = await answering.responder<string, void>(queue, () => undefined, gone)
    assert.equal(await asking.requester<string, void>(queue).request('x'), undefined)
    const replies = asking.queue<unknown>(name('replies'), { exclusive: true, codec: 'text' })
    await replies.declare()
    await asking.queue<string>(queue, { declare: false }).send('y', { replyTo: replies.name, correlationId: 'c' })
    for await (const { properties, bytes } of replies.messages({ retry: false, deadLetter: false })) {
      assert.deepEqual([properties.correlationId, bytes.length], ['c', 0])
      break
    }
    await responder.stop()
  })
})

describe('a stream of replies', () => {
  it('comes part by part, in order, and ends', async () => {
    const queue = name('count')
    const responder = await answering.responder<number, number>(
      queue,
      async function* (until) {
        for (let part = 0; part < until; part++) yield part
      },
      gone,
    )
    const requester = asking.requester<number, number>(queue, { window: 8 })
    const got: number[] = []
    for await (const part of requester.stream(500)) got.push(part)
    assert.deepEqual(
      got,
      Array.from({ length: 500 }, (_, index) => index),
    )
    for await (const part of requester.stream(0)) assert.fail(`${part} came`)
    const wrong = await warrenError(requester.request(3))
    assert.match(wrong.message, /stream/)
    assert.equal(requester.inFlight, 0)
    await responder.stop()
  })

  it('is no more than a window ahead of its reader', async () => {
    const queue = name('window')
    let yielded = 0
    let isStopped = false
    const responder = await answering.responder<null, number>(
      queue,
      async function* () {
        try {
          for (;;) yield ++yielded
        } finally {
          isStopped = true
        }
      },
      gone,
    )
    const requester = asking.requester<null, number>(queue, { window: 10 })
    let read = 0
    let most = 0
    for await (const _ of requester.stream(null)) {
      read++
      if (read % 10 === 0) await sleep(15)
      most = Math.max(most, yielded - read)
      if (read === 100) break
    }
    // One more waits inside the generator's loop for credit.
    assert.ok(most <= 11, `${most} ahead`)
    await eventually('the generator was left', () => isStopped)
    await responder.stop()
  })

  it('throws what the generator throws behind its parts, and stops when it is aborted or silent', async () => {
    const queue = name('broken')
    const signals: AbortSignal[] = []
    const responder = await answering.responder<string, number>(
      queue,
      async function* (how, { signal }) {
        signals.push(signal)
        yield 1
        yield 2
        if (how === 'throw') throw new Error('no third')
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
      },
      { concurrency: 3, ...gone },
    )
    const requester = asking.requester<string, number>(queue)
    const read = async (parts: AsyncIterable<number>, got: number[]): Promise<void> => {
      for await (const part of parts) got.push(part)
    }
    const got: number[] = []
    const thrown = await warrenError(read(requester.stream('throw'), got))
    assert.deepEqual([thrown.code, got], ['REMOTE_FAILED', [1, 2]])
    const abort = new AbortController()
    setTimeout(() => abort.abort(), 150)
    assert.equal((await warrenError(read(requester.stream('wait', { signal: abort.signal }), []))).code, 'ABORTED')
    const silent = await warrenError(read(requester.stream('wait', { timeoutMs: 150 }), []))
    assert.equal(silent.code, 'REQUEST_TIMEOUT')
    await eventually('the handlers know', () => signals.slice(1).every((signal) => signal.aborted))
    await responder.stop()
  })

  it('of a handler that does not stream has one part', async () => {
    const queue = name('single')
    const responder = await answering.responder<number, number>(queue, (value) => value + 1, gone)
    const got: number[] = []
    for await (const part of asking.requester<number, number>(queue).stream(1)) got.push(part)
    assert.deepEqual(got, [2])
    await responder.stop()
  })
})

describe('the end of a connection', () => {
  it('rejects what a closed client asked', async () => {
    const queue = name('closing')
    const responder = await answering.responder<number, number>(queue, () => sleep(300, 1), gone)
    const client = await open()
    const requester = client.requester<number, number>(queue)
    const pending = warrenError(requester.request(1))
    await sleep(50)
    await client.close()
    assert.equal((await pending).code, 'CLOSED')
    assert.equal((await warrenError(requester.request(1))).code, 'CLOSED')
    await responder.stop()
  })

  it('answers those in hand when it is the responder that closes', async () => {
    const queue = name('draining')
    const client = await open()
    let isHandling = false
    await client.responder<number, number>(
      queue,
      () => {
        isHandling = true
        return sleep(100, 7)
      },
      gone,
    )
    const answer = asking.requester<number, number>(queue).request(1)
    await eventually('it is handled', () => isHandling)
    await client.close()
    assert.equal(await answer, 7)
  })

  if (!broker.isExternal) {
    it('rejects what was under way when it was lost, and goes on afterwards', async () => {
      const queue = name('lost')
      const client = await open(quick)
      const other = await open(quick)
      await other.responder<string, string>(
        queue,
        (value, { signal }) => (value === 'slow' ? sleep(5_000, value, { signal }) : value),
        {
          concurrency: 5,
        },
      )
      const requester = client.requester<string, string>(queue)
      assert.equal(await requester.request('quick'), 'quick')
      const pending = warrenError(requester.request('slow'))
      await sleep(50)
      await broker.kill()
      assert.equal((await pending).code, 'CONNECTION_LOST')
      const waiting = requester.request('quick')
      await broker.restart()
      assert.equal(await waiting, 'quick')
    })
  }
})
