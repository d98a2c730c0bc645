/**
 * Real nats-servers as children of nodes: they form a cluster, come back when they are killed, end with their node when it is
 * stopped, outlive it when it is killed until its next start adopts them, and are refused when they do not fit.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { freePeers } from '../support/nats/free-peers.ts'
import { natsProgram } from '../support/nats/nats-program.ts'
import { freePort, holdPort } from '../support/ports.ts'
import { removeFolder } from '../support/remove-folder.ts'
import { leftOut } from '../support/run-program.ts'
import { runWarren, startWarren } from '../support/warren-command.ts'

const worker = fileURLToPath(new URL('../support/nats/nats-node.js', import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), 'warren-nats-'))
const nodes: Node[] = []
after(async () => {
  await Promise.all(nodes.map((node) => node.end()))
  removeFolder(scratch)
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
    const again = new Node('n2', peers)
    assert.deepEqual((await again.ready()).problems, [])
    assert.equal(again.serverPid(), orphan)
    assert.match(again.said, /goes on, of an earlier start,/)
    for (const node of [first, again, third]) {
      const pid = node.serverPid()
      assert.equal(await node.stop(), 0)
      assert.equal(isRunning(pid), false)
    }
  })

  it('end with a node that is told to stop while it waits for the others', async () => {
    const data = join(scratch, 'waiting')
    const pidFile = join(data, 'nats', 'nats-server.pid')
    const command = startWarren(['serve', '--node-name', 'n1', '--peers', await freePeers(3), '--data', data])
    await until('it runs one', () => existsSync(pidFile) && isRunning(noted()))
    const pid = noted()
    command.child.kill('SIGTERM')
    const { code, stderr } = await command.result
    assert.deepEqual([code, isRunning(pid)], [0, false], stderr)
    assert.match(stderr, /"stopped before it had started"/)

    function noted(): number {
      return Number.parseInt(readFileSync(pidFile, 'utf8'), 10)
    }
  })

  it('are adopted when their watcher was killed as well', async () => {
    const node = await alone()
    const pid = node.serverPid()
    for (const watcher of node.watchers()) process.kill(watcher, 'SIGKILL')
    await node.kill()
    const again = new Node('n1', node.peers)
    await until('it is adopted', () => again.claim() !== node.lastClaim)
    assert.deepEqual([again.serverPid(), isRunning(pid)], [pid, true])
    await until('it is watched', () => again.watchers().length === 1)
    await again.end()
    assert.equal(isRunning(pid), false)
  })

  it('are ended first when they were told something else', async () => {
    const node = await alone()
    const pid = node.serverPid()
    await node.kill()
    const elsewhere = node.peers.replace(/\d+$/, (port) => String(Number(port) + 20_000))
    const again = new Node('n1', elsewhere)
    await until('another nats-server', () => again.serverPid() !== pid && again.servers().includes(again.serverPid()))
    assert.deepEqual([isRunning(pid), again.servers()], [false, [again.serverPid()]])
    await again.end()
  })

  it('are followed by others when a node starts while they are being ended', async () => {
    const node = await alone()
    const pid = node.serverPid()
    await node.kill()
    rmSync(node.file('claim'))
    await until('its end begins', () => !isRunning(pid) || /lame duck/i.test(readFileSync(node.file('log'), 'utf8')))
    const again = new Node('n1', node.peers)
    let most = 0
    // None is there between the two: a server is written down before its program begins.
    await until('another nats-server', () => {
      const servers = again.servers()
      most = Math.max(most, servers.length)
      return servers.includes(again.serverPid()) && !servers.includes(pid)
    })
    assert.deepEqual([most, isRunning(pid)], [1, false], 'never two on one store')
    await again.end()
  })

  it('end soon when their directory is removed', async () => {
    const node = await alone()
    const pid = node.serverPid()
    await node.kill()
    assert.equal(isRunning(pid), true)
    removeFolder(node.directory)
    await until('its end', () => !isRunning(pid))
    removeFolder(node.directory)
  })

  it('are left alone by a second node on the same directory', async () => {
    const peers = await freePeers(3)
    const node = new Node('n1', peers)
    await until('a nats-server', () => hasServer(node))
    const pid = node.serverPid()
    assert.match(await new Node('n1', peers).refused(), /is in use by process \d+; stop/)
    assert.deepEqual([node.serverPid(), isRunning(pid)], [pid, true])
    await node.end()
  })

  it('are refused when a port is taken, with what they said', async () => {
    const peers = await freePeers(3)
    const [, port] = /n1=127\.0\.0\.1:(\d+)/.exec(peers) ?? []
    const held = await holdPort(Number(port) + 2)
    const sentence = await new Node('n1', peers).refused()
    held.close()
    assert.match(sentence, /nats-server ended at once \(.*address already in use.*; mend what it names/)
  })

  /** One of three, of which the others are not there: it has its server, which is alone. */
  async function alone(): Promise<Node> {
    const node = new Node('n1', await freePeers(3))
    await until('a nats-server', () => hasServer(node))
    await until('its log', () => existsSync(node.file('log')))
    return node
  }
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

  it('can be told to stop while it waits for NATS servers, and end then', async () => {
    const address = `127.0.0.1:${await freePort()}`
    const servers = ['--cluster', `nats://${address}`, '--nats-monitor', `http://${address}`, '--cluster-replicas', '1']
    const node = ['--node-name', 'n1', '--cluster-host', '127.0.0.1', '--data', join(scratch, 'nobody')]
    const command = startWarren(['serve', ...node, ...servers], { WARREN_LOG_LEVEL: 'debug' })
    await new Promise<void>((resolve) => {
      command.child.stderr?.on('data', (text: string) => text.includes('can be reached') && resolve())
      void command.result.then(() => resolve())
    })
    command.child.kill('SIGTERM')
    const { code, stderr } = await command.result
    assert.equal(code, 0, stderr)
    assert.match(stderr, /"stopped before it had started"/)
  })
})

interface Ready {
  readonly servers: readonly { readonly name: string }[]
  readonly problems: readonly string[]
}

class Node {
  readonly peers: string
  readonly directory: string
  /** Of its server, when it was killed. */
  lastClaim = ''
  readonly #name: string
  readonly #child: ChildProcess
  readonly #ended: Promise<number | null>
  #output = ''

  constructor(name: string, peers: string) {
    this.#name = name
    this.peers = peers
    const data = join(scratch, portOf(peers), name)
    this.directory = join(data, 'nats')
    this.#child = spawn(process.execPath, [worker, name, peers, data], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#child.stdout?.on('data', (text) => {
      this.#output += text
    })
    this.#ended = new Promise((resolve) => this.#child.once('exit', resolve))
    nodes.push(this)
  }

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

  file(kind: 'pid' | 'claim' | 'log'): string {
    return join(this.directory, `nats-server.${kind}`)
  }

  /** 0 while none is written down. */
  serverPid(): number {
    return Number.parseInt(textOf(this.file('pid')), 10) || 0
  }

  claim(): string {
    return textOf(this.file('claim'))
  }

  /** Processes of nats-servers with its configuration, whoever has started them. */
  servers(): number[] {
    const pids = readdirSync('/proc').map(Number).filter(Number.isInteger)
    const config = join(this.directory, 'nats-server.conf')
    return pids.filter((pid) => {
      const [program = '', ...args] = textOf(`/proc/${pid}/cmdline`).split('\0')
      return program.endsWith('nats-server') && args.includes(config) && isRunning(pid)
    })
  }

  /** Of its server: shells among its children. */
  watchers(): number[] {
    const pid = this.#child.pid ?? 0
    const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      textOf(`/proc/${pid}/task/${task}/children`).trim().split(' ').map(Number),
    )
    return children.filter((child) => textOf(`/proc/${child}/cmdline`).includes('\0watcher\0'))
  }

  async stop(): Promise<number | null> {
    this.#child.kill('SIGTERM')
    return await this.#ended
  }

  /** Its server goes on. */
  async kill(): Promise<void> {
    this.lastClaim = this.claim()
    this.#child.kill('SIGKILL')
    if (this.#child.exitCode === null && this.#child.signalCode === null) await this.#ended
  }

  /** With its server. */
  async end(): Promise<void> {
    await this.kill()
    for (const pid of this.servers()) process.kill(pid, 'SIGKILL')
    await until('the end of all', () => this.servers().length === 0)
  }
}

/** Empty when there is none. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
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
