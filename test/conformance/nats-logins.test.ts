/** The ways to log in to NATS servers that somebody else runs, with TLS and without, and what renewing asks of a node: nothing. */
import assert from 'node:assert/strict'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { nkeys } from '@nats-io/transport-node'
import type { Nats } from '../../src/cluster/nats/start-nats.ts'
import type { Config } from '../../src/config.ts'
import { type Issued, TestAuthority } from '../support/certificates.ts'
import { eventually } from '../support/eventually.ts'
import { bothLogins, Joining } from '../support/nats/joining.ts'
import { natsProgram } from '../support/nats/nats-program.ts'
import { OperatedServer, twoAccounts } from '../support/nats/operated-server.ts'
import { TestOperator } from '../support/nats/operator.ts'
import { removeFolder } from '../support/remove-folder.ts'
import { leftOut } from '../support/run-program.ts'

const scratch = mkdtempSync(join(tmpdir(), 'warren-logins-'))
const authority = await TestAuthority.make()
const servers: OperatedServer[] = []
const joining = new Joining()
after(async () => {
  await joining.end()
  await Promise.all(servers.map((one) => one.remove()))
  authority.remove()
  removeFolder(scratch)
})

const program = await natsProgram()
if (program === null) leftOut('logins to NATS servers', 'nats-server')
else
  describe('logins to NATS servers', () => {
    describe('by TLS', withTls)
    describe('by what stands in a file', withFiles)
  })

async function server(config: string): Promise<OperatedServer> {
  const started = await OperatedServer.start(program ?? '', config)
  servers.push(started)
  return started
}

function file(name: string, text: string): string {
  const path = join(scratch, name)
  writeFileSync(path, text)
  return path
}

/** By TLS, with the test authority trusted. */
function trusting({ url }: OperatedServer, more: Partial<Config> = {}): Partial<Config> {
  return { cluster: url.replace('nats:', 'tls:'), ...bothLogins, natsTlsAuthority: authority.certPath, ...more }
}

function tlsBlock({ certPath, keyPath }: Issued, more = ''): string {
  return `tls { cert_file: "${certPath}", key_file: "${keyPath}", timeout: 5, ${more} }`
}

async function isAnswered({ connection }: Nats): Promise<boolean> {
  return await connection.flush().then(
    () => true,
    () => false,
  )
}

const ofServer = { subject: '/CN=nats', names: 'IP:127.0.0.1' }

function withTls(): void {
  it('is joined when its authority is trusted, and refused when not', async () => {
    const one = await server(`${twoAccounts()}\n${tlsBlock(await authority.issue(ofServer))}`)
    assert.deepEqual((await joining.join(trusting(one))).problems, [])
    const sentence = /can be reached \(.*certificate.*\); check nats-tls-ca/
    await joining.refused(trusting(one, { natsTlsAuthority: 'none' }), sentence)
  })

  it('is told no password by whoever does without TLS', async () => {
    const heard: Buffer[] = []
    const without = createServer((socket) => {
      socket.write('INFO {"server_id":"x","version":"2.15.1","max_payload":1048576,"proto":1}\r\n')
      socket.on('data', (bytes) => heard.push(bytes)).on('error', () => undefined)
    })
    await new Promise<void>((resolve) => without.listen(0, '127.0.0.1', resolve))
    const address = without.address()
    assert.ok(typeof address === 'object' && address !== null)
    const cluster = `tls://127.0.0.1:${address.port}`
    await joining.refused(
      { cluster, ...bothLogins, natsPassword: 'hush-hush' },
      /does not support 'tls'.*; check nats-tls/,
    )
    without.close()
    assert.doesNotMatch(Buffer.concat(heard).toString(), /hush-hush/)
  })

  it('is joined by a certificate alone, where the server takes it for a login', async () => {
    const users = 'accounts { W { jetstream: enabled, users: [{ user: "warren@test" }] } }'
    const tls = tlsBlock(await authority.issue(ofServer), `ca_file: "${authority.certPath}", verify_and_map: true`)
    const one = await server(`${users}\n${tls}`)
    const own = await authority.issue({ subject: '/CN=warren', names: 'email:warren@test' })
    const other = await authority.issue({ subject: '/CN=other', names: 'email:other@test' })
    const none = { natsUser: 'none', natsPassword: 'none', natsSystemUser: 'none', natsSystemPassword: 'none' }
    const given = trusting(one, { ...none, natsMonitors: one.monitor })
    const shown = ({ certPath, keyPath }: Issued) => ({ natsTlsCertificate: certPath, natsTlsKey: keyPath })
    assert.deepEqual((await joining.join({ ...given, ...shown(own) })).problems, [])
    await joining.refused({ ...given, ...shown(other) }, /refuse the login; correct .* or nats-tls-cert$/)
    await joining.refused(given, /can be reached \(.*\); .*check nats-tls-ca, nats-tls-cert and nats-tls-key/)
    const missing = { natsTlsCertificate: join(scratch, 'none.pem'), natsTlsKey: own.keyPath }
    await joining.refused(
      { ...given, ...missing },
      /none\.pem cannot be used \(ENOENT\); give nats-tls-cert a PEM file/,
    )
  })

  it('goes on when the server comes back with another certificate', async () => {
    const one = await server(`${twoAccounts()}\n${tlsBlock(await authority.issue(ofServer))}`)
    const nats = await joining.join(trusting(one))
    await one.end()
    one.write(`${twoAccounts()}\n${tlsBlock(await authority.issue({ ...ofServer, subject: '/CN=renewed' }))}`)
    await one.begin()
    await eventually('it is connected again', () => isAnswered(nats))
  })
}

function withFiles(): void {
  it('is joined by an nkey', async () => {
    const keys = nkeys.createUser()
    const seed = new TextDecoder().decode(keys.getSeed())
    const users = `accounts { W { jetstream: enabled, users: [{ nkey: ${keys.getPublicKey()} }] } }`
    const one = await server(users)
    const given = { cluster: one.url, natsMonitors: one.monitor }
    const natsNkey = file('own.nk', `${seed}\n`)
    assert.deepEqual((await joining.join({ ...given, natsNkey })).problems, [])
    const broken = seed.slice(0, -4)
    const none = file('broken.nk', broken)
    await joining.refused({ ...given, natsNkey: none }, /broken\.nk cannot be used \(.*\); give nats-nkey/, [broken])
    const foreign = new TextDecoder().decode(nkeys.createUser().getSeed())
    await joining.refused({ ...given, natsNkey: file('foreign.nk', foreign) }, /refuse the login/, [foreign])
  })

  it('is joined by a token', async () => {
    const one = await server('authorization { token: "a-token-1" }')
    const given = { cluster: one.url, natsMonitors: one.monitor }
    assert.deepEqual((await joining.join({ ...given, natsToken: 'a-token-1' })).problems, [])
    await joining.refused({ ...given, natsToken: 'a-token-2' }, /refuse the login/, ['a-token-2'])
  })

  it('is joined by credentials of an operator', async () => {
    const operator = new TestOperator()
    const one = await server(operator.config)
    const natsCredentials = file('operator.creds', operator.user())
    const natsSystemCredentials = file('system.creds', operator.systemUser())
    const given = { cluster: one.url, natsCredentials, natsSystemCredentials }
    assert.deepEqual((await joining.join(given)).problems, [])
    const foreign = file('foreign.creds', new TestOperator().user())
    await joining.refused({ ...given, natsCredentials: foreign }, /refuse the login/)
    const none = file('none.creds', 'no credentials')
    await joining.refused({ ...given, natsCredentials: none }, /none\.creds cannot be used .*; give nats-credentials/)
  })

  it('goes on when credentials have run out and the file was written anew, and says so meanwhile', async () => {
    const operator = new TestOperator()
    const one = await server(operator.config)
    const natsCredentials = file('short.creds', operator.user(3))
    const natsSystemCredentials = file('system.creds', operator.systemUser())
    const nats = await joining.join({ cluster: one.url, natsCredentials, natsSystemCredentials })
    const refused = /refuse the login; correct nats-credentials/
    await eventually('the refused login is a problem', () => refused.test(nats.problems.join()))
    file('short.creds', operator.user())
    await eventually('all is well', () => nats.problems.length === 0)
    assert.ok(await isAnswered(nats))
  })
}
