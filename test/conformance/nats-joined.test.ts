/** Joining NATS servers that somebody else runs: by login or TLS, and what is refused with which sentence. */
import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { SystemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { SystemRandom } from '../../src/base/random.ts'
import { SystemChildProcesses } from '../../src/base/system-child-processes.ts'
import { SystemFiles } from '../../src/base/system-files.ts'
import { type Nats, startNats } from '../../src/cluster/nats/start-nats.ts'
import { type Config, checkCluster, configWith } from '../../src/config.ts'
import { StartError } from '../../src/start-error.ts'
import { natsProgram } from '../support/nats/nats-program.ts'
import { freePort } from '../support/ports.ts'
import { removeFolder } from '../support/remove-folder.ts'
import { leftOut } from '../support/run-program.ts'

const scratch = mkdtempSync(join(tmpdir(), 'warren-joined-'))
const servers: ChildProcess[] = []
const joined: Nats[] = []
after(async () => {
  await Promise.all(joined.map((nats) => nats.close()))
  for (const server of servers) server.kill('SIGKILL')
  removeFolder(scratch)
})

const program = await natsProgram()
if (program === null) leftOut('joining NATS servers', 'nats-server')
else describe('NATS servers that somebody runs', withServers)

const world = {
  clock: new SystemClock(),
  random: new SystemRandom(),
  files: new SystemFiles(),
  processes: new SystemChildProcesses(),
  logger: silentLogger,
  lock: async () => async () => {},
}
const synced = 'sync_interval: always'

function withServers(): void {
  it('are joined by user and password, and checked by the system account', async () => {
    const { url } = await server(synced)
    const nats = await joinedTo({ cluster: url })
    assert.match(nats.described, /^node n1 has joined the NATS servers alone \d+\.\d+\.\d+: one copy of each message/)
    assert.deepEqual([nats.problems, nats.replicas, nats.childPid], [[], 1, null])
    assert.equal(nats.servers[0]?.name, 'alone')
    assert.equal(nats.connection.isClosed(), false)
  })

  it('are checked by their monitoring addresses', async () => {
    const { url, monitor } = await server(synced)
    const nats = await joinedTo({
      cluster: url,
      natsSystemUser: 'none',
      natsSystemPassword: 'none',
      natsMonitors: monitor,
    })
    assert.deepEqual([nats.problems, nats.servers[0]?.name], [[], 'alone'])
  })

  it('are refused when they acknowledge before they sync', async () => {
    const { url } = await server('')
    await refused(
      { cluster: url },
      /^NATS server alone acknowledges before it syncs, .*: put sync_interval: always into/,
    )
  })

  it('are refused when they are too few for the copies', async () => {
    const { url } = await server(synced)
    await refused(
      { cluster: url, clusterReplicas: 3 },
      /are no cluster; each message is to be stored by 3: add servers/,
    )
  })

  it('are refused when they refuse the login, or it is not that of the system account', async () => {
    const { url } = await server(synced)
    await refused({ cluster: url, natsPassword: 'wrong' }, /refuse the login; correct nats-credentials or nats-user$/)
    await refused({ cluster: url, natsSystemPassword: 'wrong' }, /correct nats-system-credentials or nats-system-user$/)
    const own = { natsSystemUser: 'warren', natsSystemPassword: 'w' }
    await refused({ cluster: url, ...own }, /(no NATS server answers to the system account|cannot be checked)/)
  })

  it('are refused when they cannot be reached, or not be asked', async () => {
    const port = await freePort()
    await refused(
      { cluster: `nats://127.0.0.1:${port}` },
      /^none of the NATS servers nats:\S+ can be reached .*; start them/,
    )
    const { url } = await server(synced)
    const monitors = { natsSystemUser: 'none', natsSystemPassword: 'none', natsMonitors: `http://127.0.0.1:${port}` }
    await refused(
      { cluster: url, ...monitors },
      /at http:\S+ cannot be asked \(ECONNREFUSED\): start the server with http_port/,
    )
  })

  it('are joined by TLS, and only if their authority is trusted', async () => {
    const files = certificates()
    const tls = `tls { cert_file: "${files.certificate}", key_file: "${files.key}" }`
    const { url } = await server(synced, tls)
    const nats = await joinedTo({ cluster: url.replace('nats:', 'tls:'), natsTlsAuthority: files.certificate })
    assert.deepEqual(nats.problems, [])
    await refused(
      { cluster: url.replace('nats:', 'tls:') },
      /can be reached \(.*certificate.*\); start them, and check .*nats-tls-ca/,
    )
  })
}

// ---------------------------------------------------------------- servers

async function server(sync: string, more = ''): Promise<{ url: string; monitor: string }> {
  const [port, monitorPort] = [await freePort(), await freePort()]
  const folder = mkdtempSync(join(scratch, 'server-'))
  const config = join(folder, 'nats.conf')
  const accounts = `accounts {
  W { jetstream: enabled, users: [{ user: warren, password: "w" }] }
  S { users: [{ user: system, password: "s" }] }
}
system_account: S`
  const jetstream = `jetstream {\n  store_dir: "${folder}"\n  ${sync}\n}`
  const listen = `listen: "127.0.0.1:${port}"\nhttp: "127.0.0.1:${monitorPort}"\nserver_name: alone`
  writeFileSync(config, [listen, jetstream, accounts, more].join('\n'))
  const child = spawn(program ?? '', ['-c', config], { stdio: 'ignore' })
  servers.push(child)
  for (let tries = 0; !(await answers(port)); tries++) {
    assert.ok(tries < 200 && child.exitCode === null, 'the nats-server does not start')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return { url: `nats://127.0.0.1:${port}`, monitor: `http://127.0.0.1:${monitorPort}` }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

function certificates(): { certificate: string; key: string } {
  const [certificate, key] = [join(scratch, 'server.crt'), join(scratch, 'server.key')]
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1']
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
  execFileSync('openssl', [...request, ...subject, '-keyout', key, '-out', certificate], { stdio: 'ignore' })
  return { certificate, key }
}

// ---------------------------------------------------------------- joining

function settings(given: Partial<Config>) {
  const login = { natsUser: 'warren', natsPassword: 'w', natsSystemUser: 'system', natsSystemPassword: 's' }
  const rest = { nodeName: 'n1', clusterReplicas: 1, clusterStartMsMax: 2_000 }
  const checked = checkCluster(configWith({ ...rest, ...login, ...given }))
  assert.ok(checked.settings !== null)
  return checked.settings.nats
}

async function joinedTo(given: Partial<Config>): Promise<Nats> {
  const nats = await startNats(settings(given), world)
  joined.push(nats)
  return nats
}

async function refused(given: Partial<Config>, sentence: RegExp): Promise<void> {
  await assert.rejects(startNats(settings(given), world), (error) => {
    assert.ok(error instanceof StartError && error.part === 'cluster', String(error))
    assert.match(error.message, sentence)
    assert.doesNotMatch(error.message, /wrong/)
    return true
  })
}
