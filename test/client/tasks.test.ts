/** Tasks: work that is done by others, and what comes back, against a broker. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, DoNotRetry, RemoteError, type StandardSchema, type Tasks } from '../../src/client/index.ts'
import { eventually } from '../support/eventually.ts'
import { broker, name, open, warrenError } from './stage.ts'

const boss = await open()
const staff = await open()
const isWarren = boss.brokerProduct === 'Warren'

interface Job {
  readonly text: string
}

const upper = (client: Client, queue: string): Tasks<Job, string, number> =>
  client.tasks<Job, string, number>(queue, { queue: { expires: 60_000 } })

describe('a task', () => {
  it('is done by a worker, and its result comes back, each to its own handle', async () => {
    const queue = name('upper')
    const tasks = upper(boss, queue)
    const first = await tasks.submit({ text: 'early' })
    assert.equal((await boss.queue(queue, { declare: false }).info()).messageCount, 1)
    const worker = await upper(staff, queue).work(({ text }) => text.toUpperCase(), { concurrency: 5 })
    assert.equal(await first.result({ timeoutMs: 10_000 }), 'EARLY')
    const texts = Array.from({ length: 100 }, (_, index) => `text ${index}`)
    const handles = await Promise.all(texts.map((text) => tasks.submit({ text })))
    assert.deepEqual(
      await Promise.all(handles.map((handle) => handle.result())),
      texts.map((text) => text.toUpperCase()),
    )
    assert.equal(tasks.pendingCount, 0)
    assert.equal(await first.result(), 'EARLY')
    await worker.stop()
  })

  it('tells its progress, to listeners and loops, in order', async () => {
    const queue = name('progress')
    const worker = await upper(staff, queue).work(async ({ text }, { progress }) => {
      for (let step = 1; step <= 3; step++) await progress(step)
      return text
    })
    const tasks = upper(boss, queue)
    const handle = await tasks.submit({ text: 'x' }, isWarren ? { delay: 50 } : {})
    const heard: number[] = []
    handle.onProgress((step) => heard.push(step))
    const read: number[] = []
    for await (const step of handle) read.push(step)
    assert.equal(await handle.result(), 'x')
    assert.deepEqual(read, heard)
    assert.deepEqual(read, [1, 2, 3].slice(-read.length))
    if (isWarren) assert.equal(read.length, 3)
    for await (const step of handle) assert.fail(`${step} came after the end`)
    await worker.stop()
  })

  it('is tried again, and rejects with the last words when all attempts have failed', async () => {
    const queue = name('failing')
    const attempts: string[] = []
    const worker = await upper(staff, queue).work(
      ({ text }, { attempt }) => {
        attempts.push(`${text} ${attempt}`)
        if (text === 'vain') throw new DoNotRetry('never')
        if (text === 'third' && attempt === 3) return 'at last'
        throw new RangeError(`failure ${attempt}`)
      },
      { retry: { attempts: 2, backoff: { initialMs: 20, factor: 1 } } },
    )
    const tasks = upper(boss, queue)
    const failed = await warrenError((await tasks.submit({ text: 'always' })).result())
    assert.ok(failed instanceof RemoteError)
    assert.deepEqual([failed.remoteName, failed.remoteMessage, failed.attempts], ['RangeError', 'failure 3', 3])
    assert.equal(await (await tasks.submit({ text: 'third' })).result(), 'at last')
    const once = await warrenError((await tasks.submit({ text: 'once' }, { retry: false })).result())
    assert.ok(once instanceof RemoteError && once.attempts === 1)
    const often = await warrenError((await tasks.submit({ text: 'often' }, { retry: { attempts: 4 } })).result())
    assert.ok(often instanceof RemoteError && often.attempts === 5)
    const vain = await warrenError((await tasks.submit({ text: 'vain' })).result())
    assert.ok(vain instanceof RemoteError && vain.attempts === 1 && vain.remoteMessage === 'never')
    assert.equal(attempts.length, 3 + 3 + 1 + 5 + 1)
    const dead = boss.queue<Job>(`${queue}.dead`)
    await eventually('the failed ones are kept', async () => (await dead.info()).messageCount === 4)
    const letter = await dead.get()
    assert.deepEqual([letter?.body.text, letter?.headers['x-warren-error']], ['always', 'failure 3'])
    await worker.stop()
    for (const one of [dead.name, `${queue}.retry.20`]) await boss.queue(one).delete()
  })

  it('may take longer than its lease, and longer than one waits for it', async () => {
    const queue = name('slow')
    let runs = 0
    let release = (): void => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    const worker = await upper(staff, queue).work(
      async ({ text }) => {
        runs++
        await Promise.all([sleep(2_500), released])
        return text
      },
      { lease: { ms: 1_500, extend: 'auto' } },
    )
    const handle = await upper(boss, queue).submit({ text: 'slow' })
    assert.equal((await warrenError(handle.result({ timeoutMs: 100 }))).code, 'REQUEST_TIMEOUT')
    assert.equal((await warrenError(handle.result({ signal: AbortSignal.timeout(50) }))).code, 'ABORTED')
    assert.equal(handle.isSettled, false)
    release()
    assert.equal(await handle.result(), 'slow')
    assert.equal(runs, 1)
    await worker.stop()
  })

  it('is bounded, can be forgotten, and is one with its id', async () => {
    const queue = name('bounded')
    const tasks = boss.tasks<Job, string>(queue, { pendingMax: 2, queue: { expires: 60_000 } })
    const one = await tasks.submit({ text: 'one' }, { id: 'one' })
    assert.equal(await tasks.submit({ text: 'again' }, { id: 'one' }), one)
    const two = await tasks.submit({ text: 'two' }, { id: 'two' })
    assert.equal((await warrenError(tasks.submit({ text: 'three' }))).code, 'TOO_MANY_WAITING')
    two.forget()
    assert.equal((await warrenError(two.result())).code, 'CLOSED')
    const three = await tasks.submit({ text: 'three' })
    const done: string[] = []
    const worker = await staff.tasks<Job, string>(queue, { queue: { expires: 60_000 } }).work(({ text }) => {
      done.push(text)
      return text
    })
    assert.deepEqual([await one.result(), await three.result(), done], ['one', 'three', ['one', 'two', 'three']])
    await worker.stop()
  })

  it('fails with what the schema says of the job, the result, or the handler that has no JSON', async () => {
    const jobs: StandardSchema<Job, Job> = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: (value) =>
          (value as Job).text === 'wrong' ? { issues: [{ message: 'must not be wrong' }] } : { value: value as Job },
      },
    }
    const queue = name('schema')
    const worker = await staff
      .tasks<Job, unknown>(queue, { schema: { job: jobs }, queue: { expires: 60_000 } })
      .work(({ text }) => (text === 'big' ? 1n : text === 'nothing' ? undefined : text), { retry: false })
    const tasks = boss.tasks<Job, unknown>(queue, { queue: { expires: 60_000 } })
    const wrong = await warrenError((await tasks.submit({ text: 'wrong' })).result())
    assert.ok(wrong instanceof RemoteError && /must not be wrong/.test(wrong.remoteMessage), wrong.message)
    const big = await warrenError((await tasks.submit({ text: 'big' })).result())
    assert.ok(big instanceof RemoteError && big.remoteCode === 'BAD_BODY', big.message)
    assert.equal(await (await tasks.submit({ text: 'nothing' })).result(), undefined)
    const strict = boss.tasks<Job, unknown>(queue, { schema: { job: jobs }, queue: { expires: 60_000 } })
    assert.equal((await warrenError(strict.submit({ text: 'wrong' }))).code, 'SCHEMA_FAILED')
    assert.equal(strict.pendingCount, 0)
    await worker.stop()
    await boss.queue(`${queue}.dead`).delete()
  })

  it('ends when its submitter closes; the work is done all the same', async () => {
    const queue = name('closing')
    const client = await open()
    const handle = await upper(client, queue).submit({ text: 'x' })
    const pending = warrenError(handle.result())
    await client.close()
    assert.equal((await pending).code, 'CLOSED')
    let done = 0
    const worker = await upper(staff, queue).work(({ text }) => {
      done++
      return text
    })
    await eventually('it is done', () => done === 1)
    await worker.stop()
    assert.equal((await staff.queue(queue, { declare: false }).info()).messageCount, 0)
  })

  if (isWarren) {
    it('waits for its time, its turn in the group, and its priority', async () => {
      const queue = name('order')
      const options = { queue: { expires: 60_000, maxPriority: 5 } }
      const tasks = boss.tasks<Job, string>(queue, options)
      const handles = [
        await tasks.submit({ text: 'later' }, { delay: 300 }),
        await tasks.submit({ text: 'low' }, { priority: 1, group: 'g' }),
        await tasks.submit({ text: 'high' }, { priority: 5 }),
        await tasks.submit({ text: 'behind' }, { priority: 1, group: 'g' }),
      ]
      const order: string[] = []
      const worker = await staff.tasks<Job, string>(queue, options).work(({ text }) => {
        order.push(text)
        return text
      })
      await Promise.all(handles.map((handle) => handle.result()))
      assert.deepEqual(order, ['high', 'low', 'behind', 'later'])
      await worker.stop()
    })
  }

  if (!broker.isExternal) {
    it('gets its result though the broker was killed in between', async () => {
      const queue = name('restart')
      const worker = await upper(staff, queue).work(async ({ text }, { signal }) => {
        if (text === 'slow') await sleep(400, null, { signal }).catch(() => undefined)
        if (signal.aborted) throw new Error('in vain')
        return text
      })
      const tasks = upper(boss, queue)
      const slow = await tasks.submit({ text: 'slow' })
      await sleep(100)
      await broker.kill()
      await broker.restart()
      const quick = await tasks.submit({ text: 'quick' })
      assert.equal(await quick.result({ timeoutMs: 10_000 }), 'quick')
      assert.equal(await slow.result({ timeoutMs: 10_000 }), 'slow')
      await worker.stop()
    })
  }
})
