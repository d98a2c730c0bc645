/**
 * Three nodes on one machine, for trying a cluster out. Builds, starts them, says how to connect, and stops all on Ctrl-C.
 *
 *   node scripts/cluster.mjs              AMQP on 5672, 5673, 5674; HTTP on 15672, 15673, 15674
 *   node scripts/cluster.mjs --ports      on free ports
 *   node scripts/cluster.mjs --data DIR   keeps its data in DIR; else it is gone afterwards
 *
 * When a node ends by itself, it stays away and is named: that is what a cluster bears. `kill -9` one and see.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const warren = join(root, 'dist', 'bin', 'warren.js')
const names = ['n1', 'n2', 'n3']
/** For other nodes, for routes of NATS, for its clients: each node takes three in a row. */
const portsPerLink = 3
/** How long all of them may take to come up, and to go. */
const startMsMax = 120_000
const stopMsMax = 60_000
/** From SIGTERM to SIGKILL, should this program end without a word. */
const orphanStopMsMax = 45_000
/** The NATS server of a node that was killed goes on for some minutes; so long it may take to end when it is not to. */
const serverStopMsMax = 30_000
const lookMs = 100

await main(process.argv.slice(2))

async function main(args) {
  const { hasFreePorts, data } = readArguments(args)
  build()
  const folder = data ?? mkdtempSync(join(tmpdir(), 'warren-cluster-'))
  const nodes = await plan(folder, hasFreePorts)
  const peers = nodes.map(({ name, linkPort }) => `${name}=127.0.0.1:${linkPort}`).join(',')
  const { SystemChildProcesses } = await import(
    new URL('../dist/src/base/system-child-processes.js', import.meta.url).href
  )
  const processes = new SystemChildProcesses()
  const running = nodes.map((node) => start(processes, node, peers))
  const stop = stopper(running, processes, data === null ? folder : null)
  process.on('SIGINT', () => stop(0))
  process.on('SIGTERM', () => stop(0))
  for (const { ended, node } of running) {
    void ended.then(({ code, signal }) => {
      if (!stop.isStopping) console.error(`${node.name} has ended (${signal ?? `exit code ${code}`})`)
      if (running.every((one) => one.hasEnded)) void stop(1)
    })
  }
  const late = setTimeout(() => {
    console.error(`not all nodes are up after ${startMsMax / 1_000} s; what they say stands above`)
    void stop(1)
  }, startMsMax)
  await Promise.all(running.map(({ listening }) => listening))
  clearTimeout(late)
  if (!stop.isStopping) tell(nodes, folder, data !== null)
}

function readArguments(args) {
  let hasFreePorts = false
  let data = null
  for (let at = 0; at < args.length; at++) {
    if (args[at] === '--ports') hasFreePorts = true
    else if (args[at] === '--data' && args[at + 1] !== undefined) data = resolve(args[++at])
    else fail(`'${args[at]}' is no option; there are --ports (free ports) and --data DIRECTORY`)
  }
  return { hasFreePorts, data }
}

function build() {
  if (!existsSync(join(root, 'node_modules', 'typescript'))) fail('no packages; run npm ci first')
  const { status } = spawnSync('npm', ['run', '--silent', 'build'], { cwd: root, stdio: 'inherit' })
  if (status !== 0) fail('the build failed')
}

async function plan(folder, hasFreePorts) {
  const nodes = []
  for (const [index, name] of names.entries()) {
    const ports = hasFreePorts
      ? { port: await freePorts(1), httpPort: await freePorts(1), linkPort: await freePorts(portsPerLink) }
      : { port: 5672 + index, httpPort: 15_672 + index, linkPort: 25_672 + index * 10 }
    nodes.push({ name, data: join(folder, name), ...ports })
  }
  return nodes
}

function start(processes, node, peers) {
  const { name, data, port, httpPort } = node
  const options = { 'node-name': name, peers, data, host: '127.0.0.1', port, 'http-port': httpPort }
  const args = Object.entries(options).flatMap(([option, value]) => [`--${option}`, String(value)])
  const running = { node, child: null, hasEnded: false, listening: null, ended: null }
  running.ended = new Promise((ended) => {
    running.listening = new Promise((listening) => {
      const command = {
        program: process.execPath,
        args: ['--single-threaded-gc', '--initial-old-space-size=256', warren, 'serve', ...args],
        orphan: { lifeMs: 0, claim: null, farewell: null, stopMsMax: orphanStopMsMax },
      }
      // They do not hear a Ctrl-C themselves, and cannot outlive this program.
      running.child = processes.start(command, {
        line: (text) => {
          console.log(`${name}: ${text}`)
          if (/listens on amqp:/.test(text)) listening()
        },
        ended: (end) => {
          running.hasEnded = true
          listening()
          ended(end)
        },
      })
    })
  })
  return running
}

/** Stops all, once: in order, and after a while with force; also servers whose nodes have been killed. */
function stopper(running, processes, folder) {
  const stop = async (code) => {
    if (stop.isStopping) return
    stop.isStopping = true
    const left = running.filter(({ hasEnded }) => !hasEnded)
    for (const { child } of left) child.signal('SIGTERM')
    const force = setTimeout(() => {
      for (const { child } of left) child.signal('SIGKILL')
    }, stopMsMax)
    await Promise.all(left.map(({ ended }) => ended))
    clearTimeout(force)
    await Promise.all(running.map(({ node }) => endServer(processes, join(node.data, 'nats', 'nats-server'))))
    if (folder !== null) rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
    process.exit(code)
  }
  stop.isStopping = false
  return stop
}

/** Of a node that has ended without it; `path` is that of its files. */
async function endServer(processes, path) {
  const [, pid, identity] = /^(\d+) (.+)\n/.exec(readIfThere(`${path}.pid`)) ?? []
  rmSync(`${path}.claim`, { force: true })
  const isThere = async () => identity !== undefined && (await processes.identity(Number(pid))) === identity
  for (const end = Date.now() + serverStopMsMax; (await isThere()) && Date.now() < end; ) await pause(lookMs)
}

function readIfThere(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}

function tell(nodes, folder, isKept) {
  const [first] = nodes
  const lines = nodes.map(
    ({ name, port, httpPort }) => `  ${name}  amqp://127.0.0.1:${port}  http://127.0.0.1:${httpPort}`,
  )
  console.log(
    [
      '',
      'Three nodes are one broker; connect to any of them, or give a client all three addresses:',
      ...lines,
      '',
      `  npx warren cluster status --http http://127.0.0.1:${first.httpPort}`,
      '',
      `Data in ${folder}${isKept ? '' : ', gone afterwards'}. Ctrl-C stops all.`,
    ].join('\n'),
  )
}

/** The first of `count` neighbouring ports that are free now, below those that the system gives out by itself. */
async function freePorts(count) {
  for (;;) {
    const first = 10_000 + Math.floor(Math.random() * 20_000)
    const servers = await Promise.allSettled(Array.from({ length: count }, (_, index) => hold(first + index)))
    for (const { status, value } of servers) if (status === 'fulfilled') value.close()
    if (servers.every(({ status }) => status === 'fulfilled')) return first
  }
}

function hold(port) {
  return new Promise((done, failed) => {
    const server = createServer().once('error', failed)
    server.listen(port, '127.0.0.1', () => done(server))
  })
}

function fail(sentence) {
  console.error(`cluster: ${sentence}`)
  process.exit(2)
}
