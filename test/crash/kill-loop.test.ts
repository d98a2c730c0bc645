/**
 * A real broker is killed with SIGKILL at random moments, also while it recovers, under publishers and consumers that
 * write down what they see. In the end everything is drained and the histories are judged (`checker.ts`).
 *
 *   WARREN_CRASH_CYCLES=1000 node scripts/test.mjs crash     more kills than the 50 of the test command
 *   WARREN_CRASH_SEED=12345                                  the random choices of an earlier run (its timing is the machine's)
 *
 * Against a broker of WARREN_TEST_URL nothing is killed: that shows that the workers and the checker raise no false alarm.
 */
import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { type Address, RawClient } from '../support/amqp/raw-client.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import type { Verdict } from './checker.ts'
import { Dice } from './dice.ts'
import { judgeFolder } from './judge-folder.ts'
import { declareStage, queues } from './stage.ts'
import type { Task } from './worker.ts'
import { WorkerProcess as Worker } from './worker-process.ts'

const cycles = Number(process.env['WARREN_CRASH_CYCLES'] ?? 50)
const seed = Number(process.env['WARREN_CRASH_SEED'] ?? randomInt(1_000_000_000))
/** Of the faults, this many are shown. */
const faultsShown = 20

interface Outcome {
  readonly verdict: Verdict
  readonly kills: number
  readonly killsInRecovery: number
}

void test(`${cycles} kills lose, invent, alter and double nothing that was confirmed`, async (t) => {
  console.error(`kill loop: ${cycles} cycles, WARREN_CRASH_SEED=${seed}`)
  const { verdict, kills, killsInRecovery } = await killLoop(cycles, false)
  const { faults, ...counts } = verdict
  t.diagnostic(`${kills} kills, ${killsInRecovery} of them in recovery: ${JSON.stringify(counts)}`)
  const shown = faults.slice(0, faultsShown).map(({ rule, text }) => `${rule}: ${text}`)
  assert.equal(faults.length, 0, `${faults.length} faults with WARREN_CRASH_SEED=${seed}:\n${shown.join('\n')}`)
  assert.ok(verdict.promised > 100 * Math.max(1, kills), 'too little was published to mean anything')
  assert.ok(kills === 0 || verdict.redelivered > 0, 'no kill ever met an unacknowledged message')
})

void test('the control is caught: publishers that keep less than they promise lose messages', async () => {
  const { verdict, kills } = await killLoop(3, true)
  if (kills === 0) return // a foreign broker is not killed, so nothing is lost
  assert.ok(
    verdict.faults.some(({ rule }) => rule === 'lost'),
    'the loop did not notice that messages were lost',
  )
  assert.ok(
    verdict.faults.every(({ rule }) => rule === 'lost'),
    'nothing but loss may follow from this lie',
  )
})

async function killLoop(times: number, isLying: boolean): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'warren-crash-'))
  const broker = await BrokerProcess.start()
  const workers: Worker[] = []
  try {
    await prepare(broker)
    const start = (role: Task['role'], name: string, actors: number): Worker => {
      const worker = new Worker({
        role,
        name,
        actors,
        folder,
        isLying,
        seed: seed + workers.length * 100,
        addresses: [addressOf(broker)],
        isTolerant: false,
      })
      workers.push(worker)
      return worker
    }
    const publishers = [start('publish', 'p', 2), start('publish', 'q', 2)]
    const consumers = [start('consume', 'c', 2), start('consume', 'd', 2)]
    const killsInRecovery = await killAgainAndAgain(broker, times, workers)
    for (const worker of publishers) await worker.finish()
    for (const worker of consumers) await worker.finish()
    if (!broker.isExternal) {
      await broker.kill()
      await broker.restart()
    }
    await start('drain', 'z', 1).end()
    await broker.stop()
    const verdict = await judgeFolder(folder)
    if (verdict.faults.length === 0 || isLying) rmSync(folder, { recursive: true, force: true })
    else console.error(`kill loop: the histories are in ${folder}`)
    return { verdict, kills: broker.isExternal ? 0 : times, killsInRecovery }
  } finally {
    for (const worker of workers) worker.kill()
    if (!broker.isExternal) await broker.kill()
  }
}

/** Lets it run, kills it, now and then kills it again while it recovers. Gives how often that was. */
async function killAgainAndAgain(broker: BrokerProcess, times: number, workers: readonly Worker[]): Promise<number> {
  const dice = new Dice(seed)
  let inRecovery = 0
  if (broker.isExternal) await pause(5_000)
  for (let cycle = 1; cycle <= times && !broker.isExternal; cycle += 1) {
    const promise = await makePromise(broker, cycle)
    await pause(momentMs(dice, 5, 2_000))
    await broker.kill()
    if (dice.chance(0.2)) {
      inRecovery += 1
      broker.spawn()
      await pause(momentMs(dice, 1, 300))
      await broker.kill()
    }
    await broker.restart()
    await promise.check()
    for (const worker of workers) worker.mustRun()
  }
  return inRecovery
}

/** Half of the moments are spread evenly, half of them crowd towards the early ones. */
function momentMs(dice: Dice, min: number, max: number): number {
  return dice.chance(0.5) ? dice.between(min, max) : Math.round(min * (max / min) ** dice.fraction())
}

/**
 * What the broker has answered about definitions must hold after the kill: this cycle's queue with its binding and the
 * message in it, and the deletion of the cycle's before.
 */
async function makePromise(broker: BrokerProcess, cycle: number): Promise<{ check: () => Promise<void> }> {
  const queue = `crash.cycle-${cycle}`
  const deleted = `crash.cycle-${cycle - 1}`
  const client = await RawClient.withChannel(addressOf(broker))
  await client.call(1, 'queue.declare', { queue, durable: true })
  await client.call(1, 'queue.bind', { queue, exchange: 'crash.direct', routingKey: queue })
  await client.call(1, 'confirm.select')
  client.publish(1, { exchange: 'crash.direct', routingKey: queue, body: queue, properties: { deliveryMode: 2 } })
  await client.expect(1, 'basic.ack')
  await client.call(1, 'queue.delete', { queue: deleted })
  client.destroy()
  const check = async (): Promise<void> => {
    const after = await RawClient.withChannel(addressOf(broker))
    const { args } = await after.call(1, 'queue.declare', { queue, passive: true })
    assert.equal(args['messageCount'], 1, `${queue} was declared and filled before the kill`)
    after.publish(1, { exchange: 'crash.direct', routingKey: queue, body: 'bound' })
    assert.equal((await after.get(1, queue))?.body.toString(), queue)
    assert.equal((await after.get(1, queue))?.body.toString(), 'bound')
    after.send(1, 'queue.declare', { queue: deleted, passive: true })
    await after.expectChannelClose(1, 404, /no queue/)
    await after.close()
  }
  return { check }
}

async function prepare(broker: BrokerProcess): Promise<void> {
  const client = await RawClient.withChannel(addressOf(broker))
  await declareStage(client)
  for (const queue of queues) await client.call(1, 'queue.purge', { queue })
  await client.close()
}

function addressOf({ host, port, user, password }: BrokerProcess): Address {
  return { host, port, user, password }
}
