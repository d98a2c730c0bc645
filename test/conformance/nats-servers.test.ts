/**
 * Real nats-servers as children of nodes: they form a cluster, come back when they are killed, end with their node however
 * that ends, and are refused when they do not fit.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { freePeers, holdPort } from '../support/nats/free-peers.ts'
import { natsProgram } from '../support/nats/nats-program.ts'
import { leftOut } from '../support/run-program.ts'
import { runWarren } from '../support/warren-command.ts'

const worker = fileURLToPath(new URL('../support/nats/nats-node.js', import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), 'warren-nats-'))
const nodes: Node[] = []
after(async () => {
  await Promise.all(nodes.map((node) => node.kill()))
  rmSync(scratch, { recursive: true, force: true })
})

/** How long anything here may take, in milliseconds: NATS elects within some 10 seconds. */
const msMax = 30_000

if ((await natsProgram()) === null) leftOut('what nodes do with nats-servers', 'nats-server')
else describe('nats-servers of nodes', withServers)

function withServers(): void {
  it('form a cluster, come back after a kill, and leave nothing behind', async () => {
    const peers = await freePeers(3)
    const started = ['n1', 'n2', 'n3'].map((name) => new Node(name, peers))
    for (const node of started) {
      const { servers, problems } = await node.ready()
      assert.deepEqual([servers.map(({ name }) => name).sort(), problems], [['n1', 'n2', 'n3'], []])
    }
    const [first, second, third] = started as [Node, Node, Node]

    const before = first.serverPid()
    process.kill(before, 'SIGKILL')
    await until('another nats-server of n1', () => first.serverPid() !== before && isRunning(first.serverPid()))

    const orphan = second.serverPid()
    await second.kill()
    await until('the end of the nats-server of n2', () => !isRunning(orphan))

    const again = new Node('n2', peers)
    await again.ready()
    for (const node of [first, again, third]) {
      const pid = node.serverPid()
      assert.equal(await node.stop(), 0)
      assert.equal(isRunning(pid), false)
    }
  })

  it('are ended by the next start when even their watcher was killed', async () => {
    const peers = await freePeers(3)
    const node = new Node('n1', peers)
    await until('a nats-server', () => hasServer(node))
    const orphan = node.serverPid()
    // Its watcher is the only child that it has.
    const watcher = Number(readFileSync(`/proc/${orphan}/task/${orphan}/children`, 'utf8').trim())
    process.kill(watcher, 'SIGKILL')
    await node.kill()
    assert.equal(isRunning(orphan), true)
    const again = new Node('n1', peers)
    await until('the end of the orphan', () => !isRunning(orphan))
    await until('a nats-server of its own', () => again.serverPid() !== orphan && isRunning(again.serverPid()))
    await again.kill()
  })

  it('are left alone by a second node on the same directory', async () => {
    const peers = await freePeers(3)
    const node = new Node('n1', peers)
    await until('a nats-server', () => hasServer(node))
    const pid = node.serverPid()
    assert.match(await new Node('n1', peers).refused(), /is in use by process \d+; stop/)
    assert.deepEqual([node.serverPid(), isRunning(pid)], [pid, true])
    await node.kill()
  })

  it('are refused when a port is taken, with what they said', async () => {
    const peers = await freePeers(3)
    const [, port] = /n1=127\.0\.0\.1:(\d+)/.exec(peers) ?? []
    const held = await holdPort(Number(port) + 2)
    const sentence = await new Node('n1', peers).refused()
    held.close()
    assert.match(sentence, /nats-server ended at once \(.*address already in use.*; mend what it names/)
  })
}

describe('warren serve in a cluster', () => {
  it('refuses options that do not fit together, before anything is started', async () => {
    const cases: readonly (readonly [args: string[], sentence: RegExp])[] = [
      [['--peers', 'n1=127.0.0.1:1'], /node-name is missing; give/],
      [['--node-name', 'n1', '--peers', 'n1=10.0.0.1,n2=10.0.0.2,n3=10.0.0.3'], /cluster-secret is missing; give/],
      [['--node-name', 'n1', '--cluster', 'nats://a'], /nobody can check the NATS servers; give/],
    ]
    for (const [args, sentence] of cases) {
      const { code, stderr } = await runWarren(['serve', '--data', join(scratch, 'none'), ...args])
      assert.equal(code, 2)
      assert.match(stderr, sentence)
      assert.match(stderr, /^warren: /)
    }
  })
})

interface Ready {
  readonly servers: readonly { readonly name: string }[]
  readonly problems: readonly string[]
}

class Node {
  readonly #name: string
  readonly #child: ChildProcess
  readonly #ended: Promise<number | null>
  #output = ''

  constructor(name: string, peers: string) {
    this.#name = name
    this.#child = spawn(process.execPath, [worker, name, peers, join(scratch, portOf(peers), name)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#child.stdout?.on('data', (text) => {
      this.#output += text
    })
    this.#ended = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#peers = peers
    nodes.push(this)
  }

  readonly #peers: string

  get said(): string {
    return this.#output
  }

  async ready(): Promise<Ready> {
    await until(`${this.#name} ready`, () => /^ready .*\n/.test(this.#output))
    return JSON.parse(/^ready \d+ (.*)\n/.exec(this.#output)?.[1] ?? 'null') as Ready
  }

  async refused(): Promise<string> {
    await this.#ended
    return /^refused (.*)\n/.exec(this.#output)?.[1] ?? this.#output
  }

  /** 0 while none is written down. */
  serverPid(): number {
    try {
      return Number.parseInt(
        readFileSync(join(scratch, portOf(this.#peers), this.#name, 'nats/nats-server.pid'), 'utf8'),
        10,
      )
    } catch {
      return 0
    }
  }

  async stop(): Promise<number | null> {
    this.#child.kill('SIGTERM')
    return await this.#ended
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    if (this.#child.exitCode === null && this.#child.signalCode === null) await this.#ended
  }
}

function hasServer(node: Node): boolean {
  return node.serverPid() !== 0 && isRunning(node.serverPid())
}

function isRunning(pid: number): boolean {
  if (pid === 0) return false
  try {
    // What has ended and was not waited for is a zombie.
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

/** Each cluster has a folder of its own, by its first port. */
function portOf(peers: string): string {
  return /:(\d+)/.exec(peers)?.[1] ?? ''
}

async function until(what: string, isSo: () => boolean): Promise<void> {
  const end = Date.now() + msMax
  while (!isSo()) {
    const said = nodes.map((node) => node.said).join('')
    if (Date.now() > end) throw new Error(`not within ${msMax / 1_000} s: ${what}; the nodes said: ${said}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
