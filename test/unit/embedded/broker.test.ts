/** The broker inside a program: what it is without a process of its own, and that nothing of it is left. */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { Broker, StartError } from '../../../src/index.ts'
import { RawClient } from '../../support/amqp/raw-client.ts'
import { runProgram } from '../../support/run-program.ts'

const scratch = mkdtempSync(join(tmpdir(), 'warren-embedded-'))
after(() => rmSync(scratch, { recursive: true, force: true }))

describe('a broker in memory', () => {
  it('takes and gives messages without a socket', async (test) => {
    const broker = await started(test)
    const client = await RawClient.withChannel(inProcess(broker))
    await client.call(1, 'queue.declare', { queue: 'orders', durable: true })
    await client.call(1, 'confirm.select')
    client.publish(1, { routingKey: 'orders', body: 'first', properties: { deliveryMode: 2 } })
    await client.expect(1, 'basic.ack')
    assert.equal((await client.get(1, 'orders', { noAck: true }))?.body.toString(), 'first')
    await client.close()
  })

  it('takes bodies that are many times what a stream holds, both ways', async (test) => {
    const broker = await started(test)
    const client = await RawClient.withChannel(inProcess(broker))
    await client.call(1, 'queue.declare', { queue: 'large' })
    const body = Buffer.alloc(9_000_001, 'abcdefghijk')
    client.publish(1, { routingKey: 'large', body })
    const got = await client.get(1, 'large', { noAck: true })
    assert.ok(got?.body.equals(body))
    await client.close()
  })

  it('keeps what a stream holds while nobody uses it, and reads it from its begin', async (test) => {
    const broker = await started(test)
    const client = await RawClient.withChannel(inProcess(broker))
    await client.call(1, 'queue.declare', { queue: 's', durable: true, arguments: { 'x-queue-type': 'stream' } })
    await client.call(1, 'confirm.select')
    for (const body of ['a', 'b']) client.publish(1, { routingKey: 's', body })
    while (Number((await client.next(1)).args['deliveryTag']) < 2);
    await client.call(1, 'basic.qos', { prefetchCount: 10 })
    await client.call(1, 'basic.consume', { queue: 's', arguments: { 'x-stream-offset': 'first' } })
    const bodies = (await client.expectMany(1, 'basic.deliver', 2)).map(({ body }) => body.toString())
    assert.deepEqual(bodies, ['a', 'b'])
    await client.close()
  })

  it('shares nothing with another one', async (test) => {
    const [one, other] = [await started(test), await started(test)]
    const client = await RawClient.withChannel(inProcess(one))
    await client.call(1, 'queue.declare', { queue: 'mine' })
    const stranger = await RawClient.withChannel(inProcess(other))
    stranger.send(1, 'queue.declare', { queue: 'mine', passive: true })
    await stranger.expectChannelClose(1, 404, /no queue 'mine'/)
    await client.close()
    await stranger.close()
  })

  it('listens where it is told to, and says where', async (test) => {
    const broker = await started(test, { port: 0, httpPort: 0 })
    const { hostname, port } = new URL(broker.url)
    const client = await RawClient.withChannel({ host: hostname, port: Number(port), user: 'guest', password: 'guest' })
    await client.close()
    assert.equal((await fetch(`${broker.httpUrl}/health`)).status, 200)
  })

  it('has no address when it does not listen, and says what to do', async (test) => {
    const broker = await started(test)
    assert.throws(() => broker.url, refusal(/no amqp: address: start it with \{ port: 0 \}/))
    assert.throws(() => broker.httpUrl, refusal(/httpPort: 0/))
  })

  it('makes what definitions say', async (test) => {
    const broker = await started(test, { definitions: { queues: [{ name: 'made', vhost: '/', durable: true }] } })
    const client = await RawClient.withChannel(inProcess(broker))
    await client.call(1, 'queue.declare', { queue: 'made', passive: true })
    await client.close()
  })

  it('tells its clients to go when it stops', async () => {
    const broker = await Broker.start({ storage: 'memory' })
    const client = await RawClient.withChannel(inProcess(broker))
    const stopped = broker.stop()
    await client.expect(0, 'connection.close')
    client.send(0, 'connection.close-ok')
    assert.equal(await stopped, true)
    assert.equal((await client.next(0)).name, 'end')
    assert.throws(() => broker.openStream(), refusal(/stopped; start another/))
    assert.equal(await broker.stop(), true)
  })

  it('cuts a client off that does not go', async () => {
    const broker = await Broker.start({ storage: 'memory' })
    const client = await RawClient.withChannel(inProcess(broker))
    assert.equal(await broker.stop({ drainMs: 10 }), false)
    await client.expect(0, 'connection.close')
    assert.equal((await client.next(0)).name, 'end')
  })

  it('ends a connection whose stream is destroyed, and gives back what it held', async (test) => {
    const broker = await started(test)
    const client = await RawClient.withChannel(inProcess(broker))
    await client.call(1, 'queue.declare', { queue: 'q' })
    client.publish(1, { routingKey: 'q', body: 'x' })
    await client.get(1, 'q', { noAck: false })
    client.destroy()
    const other = await RawClient.withChannel(inProcess(broker))
    let got = await other.get(1, 'q', { noAck: true })
    for (let turn = 0; got === null && turn < 100; turn++) got = await other.get(1, 'q', { noAck: true })
    assert.equal(got?.args['redelivered'], true)
    await other.close()
  })
})

describe('a broker in a directory', () => {
  it('finds what the one before it has stored, and writes nowhere else', async () => {
    const dir = join(scratch, 'data')
    const before = readdirSync(scratch)
    const first = await Broker.start({ storage: { dir } })
    const client = await RawClient.withChannel(inProcess(first))
    await client.call(1, 'queue.declare', { queue: 'kept', durable: true })
    await client.call(1, 'confirm.select')
    client.publish(1, { routingKey: 'kept', body: 'x', properties: { deliveryMode: 2 } })
    await client.expect(1, 'basic.ack')
    await client.close()
    await first.stop()
    const second = await Broker.start({ storage: { dir } })
    const again = await RawClient.withChannel(inProcess(second))
    assert.equal((await again.get(1, 'kept', { noAck: true }))?.body.toString(), 'x')
    await again.close()
    await second.stop()
    assert.deepEqual(readdirSync(scratch), [...before, 'data'])
  })

  it('is refused while another one has it', async () => {
    const dir = join(scratch, 'locked')
    const first = await Broker.start({ storage: { dir } })
    await assert.rejects(Broker.start({ storage: { dir } }), refusal(/locked/))
    await first.stop()
    await (await Broker.start({ storage: { dir } })).stop()
  })
})

describe('Broker.start', () => {
  it('names an option that does not fit, and what does', async () => {
    const refused = (options: unknown, sentence: RegExp): Promise<void> =>
      assert.rejects(Broker.start(options as Parameters<typeof Broker.start>[0]), refusal(sentence))
    await refused({ storage: 'disk' }, /storage = "disk" does not fit; give 'memory' or \{ dir/)
    await refused({ storage: 'memory', port: 70_000 }, /port = 70000 does not fit; give a whole number from 0 to 65535/)
    await refused({ storage: 'memory', limits: { messageBytesMaxx: 1 } }, /did you mean messageBytesMax\?/)
    await refused({ storage: 'memory', limits: { heartbeatMs: -1 } }, /heartbeatMs = -1 does not fit/)
    await refused({ storage: 'memory', definitions: '/nowhere/x.json' }, /cannot be read \(ENOENT\)/)
    await refused(
      { storage: 'memory', definitions: { queues: 1 } },
      /the definitions in the options cannot be imported/,
    )
  })

  it('says which port is taken, and stops what it had begun', async (test) => {
    const one = await started(test, { port: 0, httpPort: 0 })
    const [port, httpPort] = [one.url, one.httpUrl].map((url) => Number(new URL(url).port))
    const amqp = Broker.start({ storage: 'memory', ...(port === undefined ? {} : { port }) })
    await assert.rejects(amqp, refusal(new RegExp(`cannot listen on port ${port} of 127.0.0.1 \\(EADDRINUSE\\)`)))
    const http = Broker.start({ storage: 'memory', port: 0, ...(httpPort === undefined ? {} : { httpPort }) })
    await assert.rejects(
      http,
      refusal(new RegExp(`port ${httpPort} of 127.0.0.1 for HTTP \\(EADDRINUSE\\).*--http-port`)),
    )
  })
})

describe('a program', () => {
  const index = new URL('../../../src/index.js', import.meta.url).href

  it('ends by itself after fifty brokers, with nothing left of them', async () => {
    const code = `
      import { Broker } from ${JSON.stringify(index)}
      const before = ['exit', 'SIGINT', 'SIGTERM', 'uncaughtException', 'unhandledRejection'].map((name) => process.listenerCount(name))
      const start = (i) => Broker.start(i % 5 === 0 ? { storage: 'memory', port: 0, httpPort: 0 } : { storage: 'memory' })
      const brokers = []
      for (let i = 0; i < 50; i++) brokers.push(await start(i))
      for (const broker of brokers) broker.openStream().resume()
      const clients = []
      for (const broker of brokers.slice(0, 5)) clients.push(await broker.connect())
      await Promise.all(brokers.map((broker) => broker.stop()))
      await new Promise((resolve) => setImmediate(resolve))
      const names = ['exit', 'SIGINT', 'SIGTERM', 'uncaughtException', 'unhandledRejection']
      console.log(JSON.stringify(before) === JSON.stringify(names.map((name) => process.listenerCount(name))))
      console.log(process.getActiveResourcesInfo().filter((kind) => !/Immediate|Pipe|TTY|FSReq/.test(kind)).join())`
    const { status, stdout, stderr } = await runProgram(process.execPath, ['--input-type=module', '-e', code], {
      msMax: 30_000,
    })
    assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: 'true\n\n', stderr: '' })
  })

  it('goes on as long as a connection inside it is open', async () => {
    const code = `
      import { Broker } from ${JSON.stringify(index)}
      const broker = await Broker.start({ storage: 'memory' })
      const queue = (await broker.connect()).queue('later')
      await queue.send({ n: 1 }, { delay: 300 })
      for await (const message of queue) { console.log(message.body.n); await message.ack(); break }
      await broker.stop()`
    const { status, stdout, stderr } = await runProgram(process.execPath, ['--input-type=module', '-e', code], {
      msMax: 30_000,
    })
    assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: '1\n', stderr: '' })
  })
})

/** The raw client never answers by itself, so the broker is not to wait for it. */
async function started(
  test: { after(done: () => Promise<unknown>): void },
  options: Partial<Parameters<typeof Broker.start>[0]> = {},
): Promise<Broker> {
  const broker = await Broker.start({ storage: 'memory', ...options })
  test.after(() => broker.stop({ drainMs: 100 }))
  return broker
}

function inProcess(broker: Broker): Parameters<typeof RawClient.dial>[0] {
  const open = async (): Promise<ReturnType<Broker['openStream']>> => broker.openStream()
  return { host: 'in-process', port: 0, user: 'guest', password: 'guest', open }
}

function refusal(sentence: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof StartError, String(error))
    assert.match(error.message, sentence)
    return true
  }
}
