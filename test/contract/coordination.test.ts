/** What every `Coordination` promises: the one in memory that simulations use, and the one over real nats-servers. */
import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import { silentLogger } from '../../src/base/logger.ts'
import { SeededRandom } from '../../src/base/random.ts'
import { WaitingClock } from '../../src/base/waiting-clock.ts'
import type { Coordination, CoordinationEntry, CoordinationWatch } from '../../src/cluster/coordination.ts'
import { Membership } from '../../src/cluster/membership/membership.ts'
import { type NatsCoordination, natsCoordination } from '../../src/cluster/nats/nats-coordination.ts'
import { MemoryCoordination, MemoryStore } from '../support/cluster/memory-coordination.ts'
import { eventually } from '../support/eventually.ts'
import { NatsServers, natsServerPath } from '../support/nats/nats-servers.ts'
import { leftOut } from '../support/run-program.ts'

const clock = new WaitingClock()

/** Keeps what it is told. */
class Heard implements CoordinationWatch {
  readonly events: string[] = []
  readonly keys = new Map<string, string>()
  revisionMax = 0
  isOrdered = true
  currents = 0

  entry({ key, value, revision }: CoordinationEntry): void {
    this.#note(revision)
    this.events.push(`${key}=${value}`)
    this.keys.set(key, value)
  }

  removed(key: string, revision: number): void {
    this.#note(revision)
    this.events.push(`${key} removed`)
    this.keys.delete(key)
  }

  current(): void {
    this.currents++
    if (this.currents === 1) this.events.push('current')
  }

  #note(revision: number): void {
    if (this.currents > 0 && revision <= this.revisionMax) this.isOrdered = false
    this.revisionMax = Math.max(this.revisionMax, revision)
  }
}

/** Two clients of one new store. */
type Open = () => Promise<readonly [Coordination, Coordination]>

function promises(open: Open): void {
  it('writes a key that is not there, once', async () => {
    const [one, other] = await open()
    const revision = await one.put('node.n1', 'first', 0)
    assert.ok(revision !== null && revision > 0)
    assert.equal(await other.put('node.n1', 'second', 0), null)
    assert.deepEqual(await other.get('node.n1'), { key: 'node.n1', value: 'first', revision })
    assert.equal(await other.get('node.n2'), null)
  })

  it('changes a key at the revision that was read, and at no other', async () => {
    const [one, other] = await open()
    const first = (await one.put('lease.topology', 'a', 0)) ?? 0
    const second = (await other.put('lease.topology', 'b', first)) ?? 0
    assert.ok(second > first)
    assert.equal(await one.put('lease.topology', 'c', first), null)
    assert.equal((await one.get('lease.topology'))?.value, 'b')
  })

  it('removes a key at the revision that was read, and lets it be written again', async () => {
    const [one, other] = await open()
    const first = (await one.put('node.n1', 'a', 0)) ?? 0
    const second = (await one.put('node.n1', 'b', first)) ?? 0
    assert.equal(await other.remove('node.n1', first), false)
    assert.equal(await other.remove('node.n1', second), true)
    assert.equal(await one.get('node.n1'), null)
    assert.equal(await one.put('node.n1', 'c', second), null)
    assert.equal(await one.remove('node.n1', second), false)
    assert.ok(((await other.put('node.n1', 'd', 0)) ?? 0) > second)
  })

  it('lets one of two that write at once win', async () => {
    const [one, other] = await open()
    let revision = (await one.put('incarnations', '0', 0)) ?? 0
    for (let count = 1; count <= 40; count++) {
      const results = await Promise.all([
        one.put('incarnations', `one ${count}`, revision),
        other.put('incarnations', `other ${count}`, revision),
      ])
      const winners = results.filter((result) => result !== null)
      assert.equal(winners.length, 1)
      revision = winners[0] ?? 0
    }
  })

  it('tells a watch what is there, then what changes, in order', async () => {
    const [one, other] = await open()
    await one.put('node.n2', 'x', 0)
    const first = (await one.put('node.n1', 'a', 0)) ?? 0
    await one.put('lease.shard-1', 'not asked for', 0)
    const heard = new Heard()
    const end = other.watch('node.', heard)
    await eventually('the beginning', () => heard.currents > 0)
    assert.deepEqual(heard.events.slice().sort(), ['current', 'node.n1=a', 'node.n2=x'])
    assert.equal(heard.events.at(-1), 'current')

    await one.remove('node.n1', first)
    await eventually('the removal', () => heard.events.includes('node.n1 removed'))
    await one.put('node.n1', 'b', 0)
    await eventually('the last change', () => heard.keys.get('node.n1') === 'b')
    assert.ok(heard.isOrdered)
    end()
    await one.put('node.n3', 'unheard', 0)
    const again = new Heard()
    other.watch('', again)
    await eventually('a second watch', () => again.keys.get('node.n3') === 'unheard')
    assert.equal(again.keys.get('lease.shard-1'), 'not asked for')
    assert.equal(heard.keys.has('node.n3'), false)
  })

  it('tells a watch of an empty store that there is nothing', async () => {
    const [one] = await open()
    const heard = new Heard()
    one.watch('', heard)
    await eventually('the beginning', () => heard.currents > 0)
    assert.deepEqual(heard.events, ['current'])
  })
}

describe('coordination in memory', () => {
  promises(async () => {
    const store = new MemoryStore(clock)
    const random = new SeededRandom(1)
    return [new MemoryCoordination(store, clock, random), new MemoryCoordination(store, clock, random)]
  })
})

const program = natsServerPath()
if (program === null) leftOut('coordination over NATS', 'nats-server')
else describe('coordination over NATS', () => overNats(program))

function overNats(path: string): void {
  const opened: NatsServers[] = []
  const coordinations: NatsCoordination[] = []
  let cluster = 0
  after(async () => {
    for (const coordination of coordinations) coordination.close()
    await Promise.all(opened.map((servers) => servers.stop()))
  })

  const start = async (count: 1 | 3) => {
    const servers = await NatsServers.start(path, count)
    opened.push(servers)
    return servers
  }
  const connect = async (servers: NatsServers, clusterName: string, index?: number) => {
    const connection = await servers.connect(index)
    const coordination = await natsCoordination({
      connection,
      clusterName,
      replicas: servers.count,
      clock,
      logger: silentLogger,
    })
    coordinations.push(coordination)
    return coordination
  }

  let single: Promise<NatsServers> | null = null
  promises(async () => {
    single ??= start(1)
    const servers = await single
    const clusterName = `c${++cluster}`
    return [await connect(servers, clusterName), await connect(servers, clusterName)]
  })

  it('keeps clusters apart', async () => {
    single ??= start(1)
    const servers = await single
    const one = await connect(servers, 'one')
    const other = await connect(servers, 'other')
    await one.put('settings', 'of one', 0)
    assert.equal(await other.get('settings'), null)
  })

  it('begins its watch anew when the server has forgotten it', async () => {
    single ??= start(1)
    const servers = await single
    const connection = await servers.connect()
    const coordination = await connect(servers, 'forgetful')
    const heard = new Heard()
    coordination.watch('', heard)
    await eventually('the beginning', () => heard.currents > 0)

    const manager = await jetstreamManager(connection)
    for await (const { stream_name, name } of manager.consumers.list('KV_warren-forgetful')) {
      await manager.consumers.delete(stream_name, name)
    }
    let revision = 0
    for (let count = 0; count < 10; count++) {
      revision = (await coordination.put('node.n1', `renewal ${count}`, revision)) ?? 0
      await sleep(500)
    }
    await eventually('the last write', () => heard.keys.get('node.n1') === 'renewal 9')
    assert.ok(heard.currents >= 2)
  })

  it('goes on watching when servers die, and loses no session over it', async () => {
    const servers = await start(3)
    const clients: NatsCoordination[] = []
    for (let index = 0; index < 3; index++) clients.push(await connect(servers, 'three'))
    const members: Membership[] = []
    const trouble: string[] = []
    const { signal } = new AbortController()
    for (const [index, coordination] of clients.entries()) {
      const node = { name: `n${index + 1}`, host: '127.0.0.1', port: 4370 + index, version: '0.1.0' }
      const common = { coordination, clock, logger: silentLogger, signal, predecessor: null }
      const member = await Membership.start({ ...common, node, remember: async () => {} })
      member.listen({
        membersChanged: () => {},
        currentChanged: (isCurrent) => trouble.push(`${node.name} is ${isCurrent ? '' : 'not '}current`),
        sessionLost: (reason) => trouble.push(reason),
      })
      members.push(member)
    }
    assert.deepEqual(
      members.map(({ self }) => self.incarnation),
      [1, 2, 3],
    )
    await eventually('everybody to know everybody', () => members.every(({ live }) => live.size === 3))

    for (const victim of [0, 1, 2]) {
      await servers.kill(victim)
      await eventually('a write after a kill', () => canWrite(clients[0], victim), 30_000)
      servers.restart(victim)
      const [first] = members
      await first?.setDraining(victim % 2 === 0)
      const isTold = () => members.every(({ live }) => live.get('n1')?.isDraining === (victim % 2 === 0))
      await eventually('everybody to hear of a change', isTold, 15_000)
      // The server that was killed must be level before the next one goes.
      await eventually(
        'three writes in a row',
        async () => {
          for (let tries = 0; tries < 3; tries++) if (!(await canWrite(clients[1], victim))) return false
          return true
        },
        30_000,
      )
    }
    const lost = trouble.filter((sentence) => !sentence.includes('current'))
    assert.deepEqual(lost, [])

    await members[2]?.stop()
    await eventually('the others to see n3 go', () => members[0]?.live.size === 2 && members[1]?.live.size === 2)
    for (const member of members) await member.stop()
    assert.equal(await clients[0]?.get('node.n1'), null)
  })
}

async function canWrite(coordination: Coordination | undefined, victim: number): Promise<boolean> {
  try {
    const key = `test.${victim}`
    const found = await coordination?.get(key)
    return (await coordination?.put(key, String(clock.monotonic()), found?.revision ?? 0)) !== null
  } catch {
    return false // Not answered: asked again.
  }
}
