/**
 * A network of its own for each node, so that nodes can be cut from each other while their clients still reach each of
 * them: network namespaces around a router through which everything between nodes goes.
 *
 *     this process ── 10.B.1.2 n1 10.B.101.2 ──┐
 *                  ── 10.B.2.2 n2 10.B.102.2 ── router        10.B.(100+I).1 is the router's side,
 *                  ── 10.B.3.2 n3 10.B.103.2 ──┘              10.B.I.1 is ours
 *
 * A cut is a rule of the router about packets from one node to another, all of them or those of some ports. It drops them
 * without a word to the sender, as a switch that fails or a firewall; or it answers, as firewalls do that reject: that the
 * host cannot be reached (ICMP), or, in the name of the other node, that nothing listens there (a reset). Each direction is a
 * rule of its own.
 *
 * The namespaces have no names. Each is held by a process that ends with its standard input, so nothing stays behind,
 * however this process ends; with a namespace its links go.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { networkInterfaces } from 'node:os'

/** Ports between nodes. The same for all: each node has an address of its own. */
export const linkPort = 25_672
export const routePort = linkPort + 1

/** What of the traffic between two nodes is cut: everything, what brokers say to each other, or what NATS servers do. */
export type CutPorts = 'all' | 'links' | 'routes'

/** What the sender hears of it. */
export type CutAnswer = 'nothing' | 'unreachable' | 'reset'

/** From one node to another, by their indices. */
export interface Direction {
  readonly from: number
  readonly to: number
}

export class NodeNetworks {
  readonly #base: string
  readonly #router: Namespace
  readonly #nodes: readonly Namespace[]
  readonly #doubles: readonly Namespace[]
  /** Names of rules in use; the router asks them in this order. */
  #nextRule = 100

  private constructor(base: string, router: Namespace, nodes: readonly Namespace[], doubles: readonly Namespace[]) {
    this.#doubles = doubles
    this.#base = base
    this.#router = router
    this.#nodes = nodes
  }

  /**
   * `resets`: cuts may answer so. Throws with a sentence where this process may not make namespaces: it takes Linux, root and
   * Debian's iproute2.
   */
  static async open(count: number, options: { readonly resets?: boolean } = {}): Promise<NodeNetworks> {
    const base = freeBase()
    const held: Namespace[] = []
    try {
      const all = 1 + (options.resets === true ? 2 : 1) * count
      while (held.length < all) held.push(await Namespace.hold())
      const [router, ...others] = held as [Namespace, ...Namespace[]]
      const [nodes, doubles] = [others.slice(0, count), others.slice(count)]
      for (const [index, node] of nodes.entries()) connect({ base, router, node, index })
      for (const [index, node] of doubles.entries()) connectDouble({ base, router, node, index })
      router.run('sh', ['-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward'])
      return new NodeNetworks(base, router, nodes, doubles)
    } catch (error) {
      for (const namespace of held) namespace.close()
      throw error
    }
  }

  /** Where clients reach a node. */
  clientHost(index: number): string {
    return `${this.#base}.${index + 1}.2`
  }

  /** Where other nodes do. */
  peerHost(index: number): string {
    return `${this.#base}.${index + 101}.2`
  }

  /** Goes before a command that is to run where the node does. */
  prefix(index: number): readonly string[] {
    const node = this.#nodes[index]
    if (node === undefined) throw new Error(`there is no network ${index}`)
    return node.prefix
  }

  /** Resolves with what mends it. */
  cut(directions: readonly Direction[], ports: CutPorts = 'all', answer: CutAnswer = 'nothing'): () => void {
    const rules: string[] = []
    for (const { from, to } of directions) {
      for (const port of selectorsOf(ports)) {
        const number = this.#nextRule++
        // Answers in the name of a node come in by another interface than its own.
        const packets = `from ${this.peerHost(from)} to ${this.peerHost(to)} iif n${from + 1} ${port}`
        this.#router.ip([`rule add pref ${number} ${packets} ${this.#actionOf(answer, to)}`])
        rules.push(`rule del pref ${number}`)
      }
    }
    return () => this.#router.ip(rules.splice(0))
  }

  #actionOf(answer: CutAnswer, to: number): string {
    if (answer !== 'reset') return answer === 'nothing' ? 'blackhole' : 'prohibit'
    if (this.#doubles.length === 0) throw new Error('these networks were opened without `resets`')
    return `lookup ${doubleTable(to)}`
  }

  close(): void {
    for (const namespace of [...this.#nodes, ...this.#doubles, this.#router]) namespace.close()
  }
}

/** The routing table of the router that leads to a node's double. */
const doubleTable = (index: number): number => 100 + index

/** A connection is made by either of two nodes, so the port is that of the sender or that of the receiver. */
function selectorsOf(ports: CutPorts): readonly string[] {
  if (ports === 'all') return ['']
  const port = ports === 'links' ? linkPort : routePort
  return [`ipproto tcp sport ${port}`, `ipproto tcp dport ${port}`]
}

class Namespace {
  readonly #holder: ChildProcess
  readonly #pid: number

  private constructor(holder: ChildProcess, pid: number) {
    this.#holder = holder
    this.#pid = pid
  }

  static async hold(): Promise<Namespace> {
    const holder = spawn('unshare', ['--net', 'sh', '-c', 'echo held; exec cat'], { stdio: ['pipe', 'pipe', 'pipe'] })
    const ended = once(holder, 'close').then(() => null)
    const first = await Promise.race([once(holder.stdout, 'data'), ended])
    if (first === null || holder.pid === undefined) {
      throw new Error(`no network namespace: ${String(holder.stderr.read() ?? '').trim()}`)
    }
    holder.unref()
    return new Namespace(holder, holder.pid)
  }

  get pid(): number {
    return this.#pid
  }

  get prefix(): readonly string[] {
    return ['nsenter', `--net=/proc/${this.#pid}/ns/net`, '--']
  }

  ip(commands: readonly string[]): void {
    if (commands.length > 0) this.run('ip', ['-batch', '-'], `${commands.join('\n')}\n`)
  }

  run(program: string, args: readonly string[], input = ''): void {
    runOrThrow([...this.prefix, program, ...args], input)
  }

  close(): void {
    this.#holder.stdin?.end()
  }
}

interface Connecting {
  readonly base: string
  readonly router: Namespace
  readonly node: Namespace
  readonly index: number
}

function connect({ base, router, node, index }: Connecting): void {
  const number = index + 1
  const ours = `wn${process.pid.toString(36)}-${number}`
  runOrThrow(['ip', 'link', 'add', ours, 'type', 'veth', 'peer', 'name', 'clients', 'netns', String(node.pid)])
  runOrThrow(['ip', 'addr', 'add', `${base}.${number}.1/24`, 'dev', ours])
  runOrThrow(['ip', 'link', 'set', ours, 'up'])
  router.ip([
    `link add n${number} type veth peer name peers netns ${node.pid}`,
    `addr add ${base}.${number + 100}.1/24 dev n${number}`,
    `link set n${number} up`,
  ])
  node.ip([
    'link set lo up',
    `addr add ${base}.${number}.2/24 dev clients`,
    'link set clients up',
    `addr add ${base}.${number + 100}.2/24 dev peers`,
    'link set peers up',
    `route add default via ${base}.${number + 100}.1`,
  ])
}

/** A network with a node's address, in which nothing listens: what goes there is reset in the node's name. */
function connectDouble({ base, router, node, index }: Connecting): void {
  const number = index + 1
  router.ip([
    `link add d${number} type veth peer name router netns ${node.pid}`,
    `addr add ${base}.${number + 200}.1/24 dev d${number}`,
    `link set d${number} up`,
    `route add default via ${base}.${number + 200}.2 table ${doubleTable(index)}`,
  ])
  node.ip([
    'link set lo up',
    `addr add ${base}.${number + 100}.2/32 dev lo`,
    `addr add ${base}.${number + 200}.2/24 dev router`,
    'link set router up',
    `route add default via ${base}.${number + 200}.1`,
  ])
}

/** The first two numbers of addresses that nobody here has. */
function freeBase(): string {
  const taken = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])
  for (;;) {
    const base = `10.${64 + Math.floor(Math.random() * 190)}`
    if (!taken.some(({ address }) => address.startsWith(`${base}.`))) return base
  }
}

function runOrThrow(command: readonly string[], input = ''): void {
  const [program = '', ...args] = command
  const { status, stderr, error } = spawnSync(program, args, { input, encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command.join(' ')}: ${error?.message ?? stderr.trim()}`)
}
