/**
 * A broker used as a job queue: producers with delays, priorities and groups, workers that ack, fail, hang and drop out,
 * while the broker is stopped and killed. Afterwards every confirmed job was done, or is parked after exactly its attempts,
 * each group went in order and one at a time, nothing came before its time, and nothing is left.
 *
 * WARREN_JOBS_SECONDS sets how long (12 by default), WARREN_JOBS_SEED repeats a run's choices.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { Dice } from '../crash/dice.ts'
import { RawClient } from '../support/amqp/raw-client.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { type Ending, type Job, JobHistory } from './own/job-history.ts'
import { jobArguments, jobQueue, parkingQueue, produce, rules, work, type Yard } from './own/jobs.ts'

const seconds = Number(process.env['WARREN_JOBS_SECONDS'] ?? '12')
const seed = Number(process.env['WARREN_JOBS_SEED'] ?? Date.now() % 1_000_000)
const producers = 3
const workers = 8
/** One stop in about so many seconds. */
const stopSeconds = 4
/** After the last publish, for all that is still open. */
const drainMsMax = 60_000 + seconds * 1_000
/** Longer than any retry or lease: when no delivery came for so long, none will. */
const quietMs = 3_000

const broker = await BrokerProcess.start()

void describe('a job queue', { skip: broker.isExternal }, () => {
  const yard: Yard = {
    broker,
    history: new JobHistory(rules),
    seed,
    isPublishing: true,
    isOver: false,
    jobs: new Map(),
  }

  before(async () => {
    const client = await RawClient.withChannel(broker)
    await client.call(1, 'queue.declare', { queue: parkingQueue, durable: true })
    await client.call(1, 'queue.declare', { queue: jobQueue, durable: true, arguments: jobArguments })
    await client.close()
  })
  after(() => broker.stop())

  void test(`jobs for ${seconds} s, with stops and kills (seed ${seed})`, async (context) => {
    const publishing = Array.from({ length: producers }, (_, index) => produce(yard, String(index + 1)))
    const working = Array.from({ length: workers }, (_, index) => work(yard, index + 1))
    await disturb(yard)
    yard.isPublishing = false
    await Promise.all(publishing)
    await drain(yard)
    yard.isOver = true
    await Promise.all(working)
    await lookAtTheRest(yard)
    context.diagnostic(yard.history.summary)
    assert.deepEqual(yard.history.violations().slice(0, 20), [], `seed ${seed}: ${yard.history.summary}`)
  })
})

async function disturb({ broker, history }: Yard): Promise<void> {
  const dice = new Dice(seed)
  const end = Date.now() + seconds * 1_000
  for (let isKill = true; Date.now() < end; isKill = !isKill) {
    await pause(dice.between(stopSeconds * 500, stopSeconds * 1_500))
    history.stopped(Date.now())
    await broker.kill(isKill ? 'SIGKILL' : 'SIGTERM')
    await broker.restart()
    history.up(Date.now())
  }
}

/** Until all is finished, and for a while nothing has come. */
async function drain({ history }: Yard): Promise<void> {
  const deadline = Date.now() + drainMsMax
  for (let last = '', since = Date.now(); Date.now() - since < quietMs || history.open > 0; await pause(100)) {
    if (history.summary !== last) since = Date.now()
    last = history.summary
    if (Date.now() > deadline) assert.fail(`seed ${seed}: ${history.open} jobs are still open; ${last}`)
  }
}

async function lookAtTheRest({ broker, history }: Yard): Promise<void> {
  const client = await RawClient.withChannel(broker)
  for (const id of await client.drain(1, parkingQueue)) history.parked(id)
  const left = await client.call(1, 'queue.purge', { queue: jobQueue })
  client.destroy()
  assert.equal(left.args['messageCount'], 0, 'nothing is left, waiting or ready')
}

/** Made-up histories: what the judge of the run above must find. */
void describe('the checker of jobs', () => {
  const job = (id: string, number = 0, group: string | null = 'g', notBefore = 0): Job => ({
    id,
    number,
    group,
    notBefore,
  })
  const one = job('one')
  const two = job('two', 1)
  let now = 0
  const play = (history: JobHistory, what: Job, ending: Ending | null, ms = 100): void => {
    now += 1_000
    const seen = history.delivered(what, now)
    now += ms
    if (ending !== null) history.ended(seen, ending, now)
  }
  const cases: Readonly<Record<string, [RegExp | null, (history: JobHistory) => void]>> = {
    'nothing wrong': [null, (history) => [one, two].forEach((each) => play(history, each, 'acked'))],
    'a lost job': [/neither done nor parked/, (history) => history.confirmed(job('lost', 0, null))],
    'a job before its time': [
      /before its time/,
      (history) => play(history, job('early', 0, null, now + 5_000), 'acked'),
    ],
    'a job that is done twice': [
      /came again after/,
      (history) => [one, one].forEach((each) => play(history, each, 'acked')),
    ],
    'a fourth attempt': [/failed 4 times/, (history) => [1, 2, 3, 4].forEach(() => play(history, one, 'failed'))],
    'a retry without a delay': [
      /tried again after 0 ms/,
      (history) => {
        play(history, one, 'failed')
        history.ended(history.delivered(one, now), 'acked', now)
      },
    ],
    'parked too early': [
      /failed 1 times at most/,
      (history) => {
        play(history, one, 'failed')
        history.parked('one')
      },
    ],
    'parked twice': [
      /parked twice/,
      (history) => {
        for (let count = 0; count < 3; count += 1) play(history, one, 'failed')
        for (let count = 0; count < 2; count += 1) history.parked('one')
      },
    ],
    'a group out of order': [
      /came before one was finished/,
      (history) => [two, one].forEach((each) => play(history, each, 'acked')),
    ],
    'a group with two in flight': [
      /in flight/,
      (history) => {
        const seen = history.delivered(one, now)
        history.ended(history.delivered(two, now), 'acked', now)
        history.ended(seen, 'acked', now)
      },
    ],
    'the same twice, but around a stop': [
      null,
      (history) => {
        play(history, one, 'acked')
        history.stopped(now)
        history.up(now)
        play(history, one, 'acked')
      },
    ],
  }
  for (const [title, [about, make]] of Object.entries(cases)) {
    void test(title, () => {
      const history = new JobHistory(rules)
      now += 100_000
      make(history)
      const found = history.violations()
      if (about === null) assert.deepEqual(found, [])
      else assert.match(found.join('; '), about)
    })
  }
})
