/**
 * What a client does while the broker is away, cut off, silent or full: nothing confirmed is lost, and every promise
 * settles. Through a proxy where any broker will do; the broker itself is killed where it is ours.
 */
import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, type Queue, WarrenError } from '../../src/client/index.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { eventually } from '../support/eventually.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { broker, name, open, quick, warrenError } from './stage.ts'

const proxies: TcpProxy[] = []
after(() => Promise.all(proxies.map((proxy) => proxy.stop())))

async function newProxy(target: { host: string; port: number } = broker): Promise<TcpProxy> {
  const proxy = await TcpProxy.start({ host: target.host, port: target.port })
  proxies.push(proxy)
  return proxy
}

/** All bodies that are in the queue, in order, and it is deleted. */
async function drain<T>(queue: Queue<T>): Promise<T[]> {
  const bodies: T[] = []
  for (let next = await getOver(queue); next !== null; next = await getOver(queue)) bodies.push(next.body)
  await queue.delete()
  return bodies
}

/** The next message; asks again when the connection turns out to have been cut before it was asked. */
async function getOver<T>(queue: Queue<T>): ReturnType<Queue<T>['get']> {
  for (;;) {
    try {
      return await queue.get()
    } catch (error) {
      if (!(error instanceof WarrenError && error.code === 'CONNECTION_LOST')) throw error
    }
  }
}

/** First occurrences only. */
function firsts<T>(bodies: readonly T[]): T[] {
  return [...new Set(bodies)]
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index)
}

/** Sends numbers until `isOver`, some at a time; resolves with how many were sent, and what became of those that were not confirmed. */
async function sendWhile(queue: Queue<number>, isOver: () => boolean): Promise<{ sent: number; failed: string[] }> {
  const failed: string[] = []
  const sends: Promise<void>[] = []
  let sent = 0
  while (!isOver()) {
    for (let index = 0; index < 20; index++) {
      const number = sent++
      sends.push(
        queue.send(number).catch((error) => {
          failed.push(`${number}: ${error}`)
        }),
      )
    }
    await sleep(2)
  }
  await Promise.all(sends)
  return { sent, failed }
}

describe('when connections are cut', () => {
  it('publishes again what was not confirmed, in order, and loses nothing', async () => {
    const proxy = await newProxy()
    const client = await open(quick, proxy.urlOf(broker.url))
    const queue = client.queue<number>(name('cut'))
    let isOver = false
    const cuts = (async () => {
      for (let index = 0; index < 5; index++) {
        await sleep(150)
        proxy.cut()
      }
      isOver = true
    })()
    const { sent, failed } = await sendWhile(queue, () => isOver)
    await cuts
    assert.deepEqual(failed, [])
    const numbers = await drain(queue)
    assert.deepEqual(firsts(numbers), upTo(sent))
  })

  it('goes on consuming, and aborts the signal of what was in hand', async () => {
    const proxy = await newProxy()
    const client = await open(quick, proxy.urlOf(broker.url))
    const direct = await open()
    const queue = client.queue<number>(name('consumer-cut'))
    const got: number[] = []
    const aborted: number[] = []
    const consumer = await queue.consume(
      async (message) => {
        got.push(message.body)
        message.signal.addEventListener('abort', () => aborted.push(message.body))
        await sleep(message.body === 0 && !message.isRedelivered ? 300 : 0)
      },
      { concurrency: 5 },
    )
    const other = direct.queue<number>(queue.name)
    await other.send(0)
    await eventually('it is in hand', () => got.length === 1)
    proxy.cut()
    await other.sendMany([1, 2, 3])
    await eventually('all have come, and the first one again', () => got.length >= 5)
    assert.deepEqual(aborted, [0])
    assert.deepEqual([...new Set(got)].sort(), [0, 1, 2, 3])
    await consumer.stop()
    await other.delete()
  })

  it('declares again what went with the connection', async () => {
    const proxy = await newProxy()
    const client = await open(quick, proxy.urlOf(broker.url))
    const topic = client.topic<number>(name('topic'))
    const got: number[] = []
    await topic.subscribe('#', (message) => void got.push(message.body))
    await topic.send('a', 1)
    await eventually('the first has come', () => got.length === 1)
    const connected = nextConnection(client)
    proxy.cut()
    await connected
    await eventually('the second has come', async () => {
      await topic.send('a', 2)
      return got.length > 1
    })
    await topic.delete()
  })

  it('settles operations that were under way', async () => {
    const proxy = await newProxy()
    const client = await open({ ...quick, operationTimeoutMs: 3_000 }, proxy.urlOf(broker.url))
    const queue = client.queue<number>(name('operations'))
    await queue.declare()
    proxy.freeze()
    const asked = Promise.all([warrenError(queue.info()), warrenError(queue.purge())])
    await sleep(20)
    proxy.cut()
    proxy.thaw()
    for (const error of await asked) assert.match(error.code, /CONNECTION_LOST|OPERATION_TIMEOUT/)
    assert.equal((await queue.info()).messageCount, 0)
    await queue.delete()
  })

  it('sends all the same when the connection is cut while the queue is declared for it', async () => {
    const proxy = await newProxy()
    const client = await open(quick, proxy.urlOf(broker.url))
    const queue = client.queue<number>(name('declaring'))
    proxy.freeze()
    const sent = queue.sendMany([0, 1])
    await sleep(20)
    proxy.cut()
    proxy.thaw()
    assert.equal(await sent, 2)
    assert.deepEqual(await drain(queue), [0, 1])
  })

  it('moves to another broker of the list', async () => {
    const [first, second] = [await newProxy(), await newProxy()]
    const client = await open(quick, [first.urlOf(broker.url), second.urlOf(broker.url)])
    const queue = client.queue<number>(name('moving'))
    await queue.send(1)
    first.refuse()
    first.cut()
    await queue.send(2)
    assert.ok(second.openCount > 0)
    assert.deepEqual(firsts(await drain(queue)), [1, 2])
  })
})

describe('when the broker is silent', () => {
  it('gives the connection up after two heartbeats and uses another', async () => {
    const proxy = await newProxy()
    const client = await open({ ...quick, heartbeatSeconds: 1 }, proxy.urlOf(broker.url))
    const queue = client.queue<number>(name('silent'))
    await queue.send(1)
    const lost = new Promise<string>((resolve) => client.on('disconnected', ({ error }) => resolve(error.message)))
    proxy.freeze()
    const sent = queue.send(2)
    assert.match(await lost, /nothing was heard for 2 s/)
    proxy.thaw()
    await sent
    assert.deepEqual(firsts(await drain(queue)), [1, 2])
  })

  it('rejects a send that is not confirmed in time, and an attempt to connect that takes too long', async () => {
    const proxy = await newProxy()
    const client = await open({ ...quick, confirmTimeoutMs: 3_000 }, proxy.urlOf(broker.url))
    const queue = client.queue<number>(name('timeout'))
    await queue.send(1)
    proxy.freeze()
    const error = await warrenError(queue.send(2))
    assert.equal(error.code, 'CONFIRM_TIMEOUT')
    assert.match(error.message, /3000 ms/)
    const late = await warrenError(open({ ...quick, connectTimeoutMs: 200 }, proxy.urlOf(broker.url)))
    assert.equal(late.code, 'CONNECT_TIMEOUT')
    proxy.thaw()
    proxy.cut()
    await queue.send(3)
    const numbers = await drain(queue)
    assert.ok(numbers.includes(1) && numbers.includes(3))
  })
})

describe('when there is no broker', () => {
  it('settles every send in time, and takes no more than it may keep', async () => {
    const proxy = await newProxy()
    const options = { ...quick, confirmTimeoutMs: 3_000, waitingMax: 100 }
    const client = await open(options, proxy.urlOf(broker.url))
    const queue = client.queue<number>(name('away'))
    await queue.send(-1)
    proxy.refuse()
    proxy.cut()
    await eventually('it is gone', () => !client.isConnected)
    const errors = await Promise.all(upTo(150).map((number) => warrenError(queue.send(number))))
    const codes = new Set(errors.map(({ code }) => code))
    assert.deepEqual([...codes].sort(), ['CONFIRM_TIMEOUT', 'TOO_MANY_WAITING'])
    proxy.accept()
    await queue.send(-2)
    await drain(queue)
  })

  it('closes at once', async () => {
    const proxy = await newProxy()
    const client = await open(quick, proxy.urlOf(broker.url))
    const queue = client.queue<number>(name('closed-away'), { exclusive: true })
    await queue.consume(() => undefined)
    proxy.refuse()
    proxy.cut()
    await eventually('it is gone', () => !client.isConnected)
    const began = performance.now()
    await client.close({ timeoutMs: 200 })
    assert.ok(performance.now() - began < 10_000)
  })

  it('waits for one as long as it is told to', async () => {
    const proxy = await newProxy()
    proxy.refuse()
    const opening = open({ ...quick, connectRounds: 100 }, proxy.urlOf(broker.url))
    await eventually('it has tried', () => proxy.acceptedCount > 2)
    proxy.accept()
    const client = await opening
    assert.equal(client.isConnected, true)
  })
})

if (!broker.isExternal) {
  describe('when the broker is killed', () => {
    it('goes on with the next one: no confirmed message is lost', async () => {
      const mine = await BrokerProcess.start()
      after(() => mine.stop())
      // Three starts of a broker may take long.
      const client = await open({ ...quick, confirmTimeoutMs: 300_000, operationTimeoutMs: 300_000 }, mine.url)
      const queue = client.queue<number>('killed')
      const got: number[] = []
      const consumer = await queue.consume((message) => void got.push(message.body), { prefetch: 100 })
      let isOver = false
      const kills = (async () => {
        for (let index = 0; index < 3; index++) {
          await sleep(150)
          await mine.kill('SIGKILL')
          await mine.restart()
        }
        await sleep(100)
        isOver = true
      })()
      const { sent, failed } = await sendWhile(queue, () => isOver)
      await kills
      assert.deepEqual(failed, [])
      await eventually('all have come', () => new Set(got).size === sent, 120_000)
      await consumer.stop()
      await client.close()
    })
  })

  describe('when the broker takes small messages only', () => {
    it('rejects the large one, and sends those before and behind it', async () => {
      const small = await BrokerProcess.start({ env: { WARREN_LIMITS_MESSAGE_SIZE: '1KiB' } })
      after(() => small.stop())
      const client = await open(quick, small.url)
      const queue = client.queue<string>('small')
      const [first, large, last] = [queue.send('a'), warrenError(queue.send('x'.repeat(2_000))), queue.send('b')]
      assert.equal((await large).code, 'MESSAGE_TOO_LARGE')
      await Promise.all([first, last])
      assert.deepEqual(firsts(await drain(queue)), ['a', 'b'])
      await client.close()
    })
  })

  describe('when the broker has no room', () => {
    it('holds sends back, says so, and goes on with acknowledgements', async () => {
      const full = await BrokerProcess.start({ env: { WARREN_DISK_FREE_MIN: '1024TiB' } })
      after(() => full.stop())
      const proxy = await newProxy(full)
      const client = await open({ ...quick, confirmTimeoutMs: 3_000 }, proxy.urlOf(full.url))
      const events: string[] = []
      client.on('blocked', () => events.push('blocked'))
      client.on('unblocked', () => events.push('unblocked'))
      const queue = client.queue<number>('full')
      await queue.consume(() => undefined)
      const error = await warrenError(queue.send(1))
      assert.equal(error.code, 'BLOCKED')
      assert.deepEqual(events, ['blocked'])
      assert.notEqual(client.blockedReason, null)
      assert.equal((await queue.info()).consumerCount, 1)
      // Another one has room: what waited goes there.
      proxy.target = broker
      const sent = queue.send(2)
      proxy.cut()
      await sent
      assert.deepEqual(events, ['blocked', 'unblocked'])
      await client.close()
      await open().then((direct) => direct.queue('full').delete())
    })
  })
}

function nextConnection(client: Client): Promise<void> {
  return new Promise((resolve) => {
    const off = client.on('connected', ({ connection }) => {
      if (connection !== 'consuming') return
      off()
      resolve()
    })
  })
}
