/** What the handle of a task does with what comes, over a driver without a broker. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { RemoteError, readToldError, toldError } from '../../../src/client/remote-error.ts'
import { attemptsHeader, kindHeader } from '../../../src/client/task-worker.ts'
import { Tasks } from '../../../src/client/tasks.ts'
import { type FakeClient, fakeClient, states, turns } from './fake-client.ts'

async function stage(): Promise<FakeClient & { tasks: Tasks<number, string, number> }> {
  const fake = await fakeClient()
  return { ...fake, tasks: new Tasks<number, string, number>(fake.core, 'jobs', {}) }
}

/** What a worker would send. */
function tell({ driver }: FakeClient, id: string, kind: string, value: unknown, attempts = 1): void {
  const channel = driver.last('consuming').channels.find(({ consumers }) => consumers.length > 0)
  assert.ok(channel !== undefined)
  channel.deliver({
    properties: { correlationId: id, headers: { [kindHeader]: kind, [attemptsHeader]: attempts } },
    body: new TextEncoder().encode(JSON.stringify(value)),
  })
}

async function submitted(fake: FakeClient & { tasks: Tasks<number, string, number> }, sequence: number, retry?: false) {
  const submit = fake.tasks.submit(sequence, retry === undefined ? {} : { retry })
  await turns()
  fake.driver.publishChannel.events.confirmed(sequence, false, false)
  return submit
}

describe('a task', () => {
  it('is submitted when the job is confirmed, with the way back for its result', async () => {
    const fake = await stage()
    const submit = fake.tasks.submit(1, { retry: { attempts: 4 }, priority: 3 })
    assert.deepEqual(await states([submit]), ['pending'])
    const [job] = fake.driver.publishChannel.published
    assert.deepEqual([job?.routingKey, job?.properties.deliveryMode, job?.properties.priority], ['jobs', 2, 3])
    assert.match(job?.properties.replyTo ?? '', /^jobs\.results\./)
    assert.equal(job?.properties.headers?.[attemptsHeader], 5)
    fake.driver.publishChannel.events.confirmed(1, false, false)
    const handle = await submit
    assert.equal(handle.id, job?.properties.messageId)
    assert.equal(fake.tasks.pendingCount, 1)
  })

  it('has one result: the first', async () => {
    const fake = await stage()
    const handle = await submitted(fake, 1)
    tell(fake, handle.id, 'result', 'first')
    tell(fake, handle.id, 'result', 'second')
    tell(fake, handle.id, 'failed', toldError(new Error('third')))
    await turns()
    assert.equal(await handle.result(), 'first')
    assert.equal(fake.tasks.pendingCount, 0)
    assert.deepEqual(fake.errors, [])
  })

  it('keeps the newest of its progress for a slow reader, and ends with it', async () => {
    const fake = await stage()
    const handle = await submitted(fake, 1)
    const reader = handle[Symbol.asyncIterator]()
    handle.onProgress((step) => {
      if (step === 7) throw new Error('a bad listener')
    })
    for (let step = 0; step < 150; step++) tell(fake, handle.id, 'progress', step)
    tell(fake, handle.id, 'result', 'done')
    await turns(400)
    const got: number[] = []
    for await (const step of reader) got.push(step)
    assert.deepEqual([got[0], got.length, got.at(-1)], [50, 100, 149])
    assert.equal(fake.errors.length, 1)
    assert.equal(await handle.result(), 'done')
  })

  it('rejects with the words of the worker', async () => {
    const fake = await stage()
    const handle = await submitted(fake, 1)
    const waiting = [handle.result(), handle.result({ timeoutMs: 10 })]
    fake.clock.advance(10)
    assert.deepEqual(await states(waiting), ['pending', 'REQUEST_TIMEOUT'])
    tell(fake, handle.id, 'failed', toldError(new TypeError('no such file')), 3)
    assert.deepEqual(await states(waiting), ['REMOTE_FAILED', 'REQUEST_TIMEOUT'])
    const error = await handle.result().catch((thrown: unknown) => thrown)
    assert.ok(error instanceof RemoteError)
    assert.deepEqual([error.remoteName, error.remoteMessage, error.attempts], ['TypeError', 'no such file', 3])
  })

  it('is not pending when it could not be submitted', async () => {
    const fake = await stage()
    const submit = fake.tasks.submit(1)
    await turns()
    fake.driver.publishChannel.events.confirmed(1, false, true)
    assert.deepEqual(await states([submit]), ['NACKED'])
    assert.equal(fake.tasks.pendingCount, 0)
  })
})

describe('an error on its way', () => {
  it('is cut, and read whatever it is', () => {
    assert.equal(toldError(new Error('x'.repeat(10_000))).message.length, 4_000)
    assert.deepEqual(toldError('text'), { name: 'Error', message: 'text', code: '' })
    for (const text of ['', '{', 'null', '[]', '{"message":5}']) {
      const told = readToldError(new TextEncoder().encode(text))
      assert.deepEqual(told, { name: 'Error', message: 'it did not say why', code: '' })
    }
  })
})
