/** Logins to the dashboard, told between nodes: keys and ends come to every node that anybody reaches, also late. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ManualClock } from '../../../src/base/clock.ts'
import { SeededRandom } from '../../../src/base/random.ts'
import { endedLoginsMax, LoginLedger, loginIdBytes } from '../../../src/broker/access/login-ledger.ts'
import { LoginReports } from '../../../src/cluster/login-reports.ts'
import { ManagementLink } from '../../../src/cluster/management-link.ts'
import { MemoryNetwork } from '../../support/cluster/memory-peers.ts'

const random = new SeededRandom(1)
const clock = new ManualClock()

function join(network: MemoryNetwork, name: string, incarnation: number): LoginLedger {
  const ledger = new LoginLedger({ clock, random, secret: 'of the cluster' })
  new LoginReports(new ManagementLink(network.join({ name, incarnation }), clock), ledger)
  return ledger
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 40; turn++) await new Promise((resolve) => setImmediate(resolve))
}

function endedAt(ledger: LoginLedger): { id: Uint8Array; begunAt: number; until: number } {
  const login = { id: random.bytes(loginIdBytes), begunAt: clock.now(), until: clock.now() + 1_000 }
  ledger.end(login)
  return login
}

describe('logins of the dashboard', () => {
  it('are known by their keys at all nodes, and ended at all', async () => {
    const network = new MemoryNetwork()
    const ledgers = ['a', 'b', 'c'].map((name, index) => join(network, name, index + 1))
    network.connectAll()
    await settled()
    for (const { own } of ledgers) {
      for (const ledger of ledgers) assert.deepEqual(ledger.key(own.id)?.key, own.key)
    }
    const [a] = ledgers
    assert.ok(a !== undefined)
    const login = endedAt(a)
    await settled()
    for (const ledger of ledgers) assert.equal(ledger.isEnded(login), true)
  })

  it('that were ended in a part of the cluster are so in the other when any two nodes of them meet', async () => {
    const network = new MemoryNetwork()
    const [a, b, c] = ['a', 'b', 'c'].map((name, index) => join(network, name, index + 1)) as [
      LoginLedger,
      LoginLedger,
      LoginLedger,
    ]
    network.mend('a', 'b')
    await settled()
    const login = endedAt(a)
    await settled()
    assert.deepEqual([b.isEnded(login), c.isEnded(login), c.key(a.own.id)], [true, false, null])
    network.mend('b', 'c')
    await settled()
    assert.deepEqual([c.isEnded(login), c.key(a.own.id)?.key], [true, a.own.key])
  })

  it('are told to a node that starts, however many were ended', async () => {
    const network = new MemoryNetwork()
    const a = join(network, 'a', 1)
    const logins = Array.from({ length: endedLoginsMax }, () => endedAt(a))
    a.endUntil(clock.now() - 5)
    const b = join(network, 'b', 2)
    network.connectAll()
    await settled()
    assert.equal(
      logins.every((login) => b.isEnded(login)),
      true,
    )
    assert.equal(b.endedUntil, a.endedUntil)
    assert.deepEqual(b.key(a.own.id)?.key, a.own.key)
  })
})
