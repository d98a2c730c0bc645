/** Reading the configuration again, by SIGHUP and by `warren reload`: what changes at once, and that a mistake changes nothing. */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import * as net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import amqplib from 'amqplib'
import { BrokerProcess } from '../support/broker-process.ts'
import { TestAuthority } from '../support/certificates.ts'
import { eventually, rejection } from '../support/eventually.ts'
import { freePort } from '../support/ports.ts'
import { hasCommands, leftOut } from '../support/run-program.ts'
import { type CommandResult, runWarren } from '../support/warren-command.ts'

const folder = mkdtempSync(join(tmpdir(), 'warren-reload-'))
const file = join(folder, 'warren.toml')
let broker: BrokerProcess
let httpPort: number

function configure(...lines: readonly string[]): void {
  writeFileSync(file, [`http-port = ${httpPort}`, ...lines].join('\n'))
}

function reload(): Promise<CommandResult> {
  return runWarren(['reload', '--http', `http://guest:guest@127.0.0.1:${httpPort}`])
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1')
    socket.on('connect', () => resolve(true))
    socket.on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })
}

/** The frame size a new client is offered. */
async function offered(): Promise<number> {
  const connection = await amqplib.connect(broker.url)
  const { frameMax } = (connection as unknown as { connection: { frameMax: number } }).connection
  await connection.close()
  return frameMax
}

describe('Reading the configuration again', () => {
  before(async () => {
    httpPort = await freePort()
    configure()
    broker = await BrokerProcess.start({ args: ['--config', file], env: { WARREN_HTTP_PORT: String(httpPort) } })
  })
  after(async () => {
    await broker.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  it('changes limits, levels and ports while connections stay, and names what needs a restart', async () => {
    const connection = await amqplib.connect(broker.url)
    const channel = await connection.createChannel()
    const prometheus = await freePort()
    configure(
      `prometheus-port = ${prometheus}`,
      'log-levels = "server=debug"',
      'data = "/elsewhere"',
      '[limits]',
      'frame-size = "8KiB"',
      'parked-input = "2MiB"',
      '[memory]',
      'transient = "32MiB"',
    )
    const { code, stdout, stderr } = await reload()
    assert.deepEqual([code, stderr], [0, ''])
    assert.equal(
      stdout,
      'changed: prometheus-port, log-levels, limits.frame-size, limits.parked-input\nneeds a restart: memory.transient\n',
      'data is a flag, which goes before the file',
    )
    assert.equal(await offered(), 8 * 1024)
    assert.ok(await isOpen(prometheus))
    assert.equal((await channel.assertQueue('kept')).queue, 'kept')
    await connection.close()

    configure()
    assert.match((await reload()).stdout, /^changed: prometheus-port, log-levels, /)
    assert.equal(await isOpen(prometheus), false)
    assert.equal(await offered(), 128 * 1024)
    assert.equal((await reload()).stdout, 'nothing has changed\n')
  })

  it('changes nothing when anything of it is wrong, and says what', async () => {
    const [free, taken] = [await freePort(), net.createServer()]
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    const { port } = taken.address() as net.AddressInfo
    const small = ['[limits]', 'frame-size = "8KiB"']
    for (const [lines, problem] of [
      [[`prometheus-port = ${free}`, 'prot = 1', ...small], /prot: there is no such option; did you mean port\?/],
      [['log-levels = "sever=debug"', ...small], /there is no part 'sever'; did you mean server\?/],
      [[`prometheus-port = ${free}`, 'tls-port = 0', ...small], /tls-port is set without a certificate/],
      [
        [`prometheus-port = ${free}`, 'tls-port = 0', 'tls-cert = "/no"', 'tls-key = "/no"', ...small],
        /tls-cert = "\/no" cannot be read/,
      ],
      [[`prometheus-port = ${port}`, ...small], /another program listens there/],
      [[`prometheus-port = ${free}`, 'audit-log = "/no/such/folder"', ...small], /audit-log = .* cannot be opened/],
      [['this is not TOML', ...small], /this is not TOML/],
    ] as const) {
      configure(...lines)
      const { code, stderr } = await reload()
      assert.notEqual(code, 0)
      assert.match(stderr, problem)
      assert.equal(await isOpen(free), false)
      assert.equal(await offered(), 128 * 1024)
    }
    taken.close()
  })

  it('is for administrators', async () => {
    const url = `http://127.0.0.1:${httpPort}/api/warren/reload`
    assert.equal((await fetch(url, { method: 'PUT' })).status, 401)
  })

  it('follows SIGHUP, which opens the audit log anew for those who rotate it', async () => {
    const audit = join(folder, 'audit.log')
    configure(`audit-log = "${audit}"`)
    process.kill(broker.pid ?? 0, 'SIGHUP')
    await eventually('the audit log is there', () => existsSync(audit))
    renameSync(audit, `${audit}.1`)
    process.kill(broker.pid ?? 0, 'SIGHUP')
    await eventually('it is made anew', () => existsSync(audit))
    await rejection(amqplib.connect(broker.url.replace('guest:guest', 'guest:no')))
    configure('nonsense')
    process.kill(broker.pid ?? 0, 'SIGHUP')
    await eventually('a mistake is in the log', () => /is not used: all is as before/.test(broker.output))
    await (await amqplib.connect(broker.url)).close()
  })

  if (hasCommands('openssl')) {
    it('opens and closes ports for TLS and takes other certificates', async () => {
      const authority = await TestAuthority.make()
      try {
        const { certPath, keyPath } = await authority.issue({ subject: '/CN=b', names: 'DNS:localhost' })
        const port = await freePort()
        configure(`tls-port = ${port}`, `tls-cert = "${certPath}"`, `tls-key = "${keyPath}"`)
        assert.equal((await reload()).stdout, 'changed: audit-log, tls-port, tls-cert, tls-key\n')
        const url = `amqps://guest:guest@localhost:${port}`
        const connection = await amqplib.connect(url, { ca: [authority.cert] })
        const other = await TestAuthority.make()
        const next = await other.issue({ subject: '/CN=c', names: 'DNS:localhost' })
        configure(`tls-port = ${port}`, `tls-cert = "${next.certPath}"`, `tls-key = "${next.keyPath}"`)
        assert.equal((await reload()).stdout, 'changed: tls-cert, tls-key\n')
        await rejection(amqplib.connect(url, { ca: [authority.cert] }))
        await (await amqplib.connect(url, { ca: [other.cert] })).close()
        configure()
        await reload()
        assert.equal(await isOpen(port), false)
        await connection.createChannel()
        await connection.close()
        other.remove()
      } finally {
        authority.remove()
      }
    })
  } else leftOut('reloading certificates', 'openssl')
})
