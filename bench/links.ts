/**
 * What a message from one node to another costs: two processes, one link over loopback, messages of one size as fast as
 * the link takes them, in one direction and then in the other. Prints the processor time of each side per message, by the system's count of the whole process.
 *
 *     node dist/bench/links.js [bytes per message, default 1024] [messages, default 2000000] [messages per turn, default 64]
 */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { SystemClock } from '../src/base/clock.ts'
import { silentLogger } from '../src/base/logger.ts'
import { SystemRandom } from '../src/base/random.ts'
import { SystemNetwork } from '../src/base/system-network.ts'
import { Links } from '../src/cluster/link/links.ts'
import type { Member, Members, MembersListener } from '../src/cluster/members.ts'
import type { NodeIdentity } from '../src/cluster/node-identity.ts'
import { type Peer, type ServiceHandler, services } from '../src/cluster/peers.ts'

interface Plan {
  readonly messageBytes: number
  readonly messages: number
  readonly messagesPerTurn: number
  readonly isDialerSending: boolean
}

/** One side's share, in microseconds of processor time, and what came of it. */
interface Share {
  readonly cpuUs: number
  readonly seconds: number
  readonly messages: number
}

const clock = new SystemClock()

/** The smaller name dials. */
const names = { dialing: 'a', listening: 'b' } as const

class Side {
  readonly links: Links
  readonly #live = new Map<string, Member>()
  readonly #self: NodeIdentity
  #listener: MembersListener | null = null

  constructor(name: string, incarnation: number) {
    this.#self = { name, incarnation }
    const members: Members = {
      self: this.#self,
      live: this.#live,
      isCurrent: true,
      listen: (listener) => {
        this.#listener = listener
      },
      provedDead: () => {},
      setDraining: () => Promise.resolve(),
    }
    this.links = new Links({
      members,
      clock,
      network: new SystemNetwork(),
      random: new SystemRandom(),
      logger: silentLogger,
      clusterId: 'bench',
      secret: 'only for this machine',
      listen: { host: '127.0.0.1', port: 0 },
    })
  }

  /** Returns the port. */
  async start(other: string, otherIncarnation: number, otherPort: number): Promise<number> {
    const port = await this.links.start()
    this.#add(other, otherIncarnation, otherPort)
    this.#add(this.#self.name, this.#self.incarnation, port)
    this.#listener?.membersChanged()
    return port
  }

  #add(name: string, incarnation: number, port: number): void {
    this.#live.set(name, { name, incarnation, port, host: '127.0.0.1', version: '', isDraining: false, startedAt: 0 })
  }
}

function shareSince(start: number, before: NodeJS.CpuUsage, messages: number): Share {
  const { user, system } = process.cpuUsage(before)
  return { cpuUs: user + system, seconds: (clock.monotonic() - start) / 1000, messages }
}

/** Counts until all are there. */
function receive(side: Side, plan: Plan): Promise<Share> {
  return new Promise((resolve) => {
    let count = 0
    let start = 0
    let before = process.cpuUsage()
    const handler: ServiceHandler = {
      up: () => {},
      down: () => {},
      drained: () => {},
      message: (_peer, bytes, at, end) => {
        if (count++ === 0) {
          start = clock.monotonic()
          before = process.cpuUsage()
        }
        if (end - at !== plan.messageBytes || bytes[at] !== 7) throw new Error('a message is not what was sent')
        if (count === plan.messages) resolve(shareSince(start, before, count))
      },
    }
    side.links.serve(services.shards, handler)
  })
}

/** Sends so many in each turn, as long as the link is not congested. */
function send(side: Side, plan: Plan): Promise<Share> {
  return new Promise((resolve) => {
    const message = new Uint8Array(plan.messageBytes).fill(7)
    let start = 0
    let before = process.cpuUsage()
    let sent = 0
    const turn = (peer: Peer): void => {
      for (let count = 0; count < plan.messagesPerTurn && sent < plan.messages; count++, sent++) {
        peer.send(services.shards, message, 0, message.length)
      }
      if (sent === plan.messages) resolve(shareSince(start, before, sent))
      else if (!peer.isCongested) clock.soon(() => turn(peer))
    }
    const up = (peer: Peer): void => {
      start = clock.monotonic()
      before = process.cpuUsage()
      turn(peer)
    }
    side.links.serve(services.shards, { message: () => {}, up, down: () => {}, drained: turn })
  })
}

/** The other process: it listens, and does what its parent does not. */
async function child(plan: Plan): Promise<void> {
  const side = new Side(names.listening, 2)
  const share = plan.isDialerSending ? receive(side, plan) : send(side, plan)
  process.send?.(await side.start(names.dialing, 1, 1))
  process.send?.(await share)
  process.once('disconnect', () => process.exit(0))
}

async function measure(plan: Plan): Promise<void> {
  const other = fork(fileURLToPath(import.meta.url), [JSON.stringify(plan)])
  const port = await new Promise<number>((resolve) => other.once('message', (message) => resolve(Number(message))))
  const theirs = new Promise<Share>((resolve) => other.once('message', (message) => resolve(message as Share)))
  const side = new Side(names.dialing, 1)
  const ours = plan.isDialerSending ? send(side, plan) : receive(side, plan)
  await side.start(names.listening, 2, port)
  const [dialing, listening] = await Promise.all([ours, theirs])
  print(`dialing, ${plan.isDialerSending ? 'sends' : 'receives'}`, dialing)
  print(`listening, ${plan.isDialerSending ? 'receives' : 'sends'}`, listening)
  other.disconnect()
  await side.links.close()
}

function print(side: string, { cpuUs, seconds, messages }: Share): void {
  const perMessage = (cpuUs / messages).toFixed(2)
  const rate = Math.round(messages / seconds).toLocaleString('en')
  console.log(`${side.padEnd(20)} ${perMessage} µs of processor time per message, ${rate} messages/s`)
}

const [first = '1024', second = '2000000', third = '64'] = process.argv.slice(2)
if (process.send !== undefined) await child(JSON.parse(first) as Plan)
else {
  const plan = { messageBytes: Number(first), messages: Number(second), messagesPerTurn: Number(third) }
  for (const isDialerSending of [true, false]) await measure({ ...plan, isDialerSending })
}
